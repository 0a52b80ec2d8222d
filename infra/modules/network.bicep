// A network for the app, from which it reaches a vault that is closed to the others. A service
// endpoint does it: no private DNS, and nothing to pay for.
targetScope = 'resourceGroup'

@description('Name of the network.')
param name string

@description('Azure region.')
param location string

@description('Address range of the network, as CIDR.')
param addressPrefix string

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: name
  location: location
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    // Here and not as a resource of its own, because a deployment of the network removes the others.
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: addressPrefix
          // What Flex Consumption asks of a subnet. The resource provider Microsoft.App must be registered.
          delegations: [{ name: 'flex-consumption', properties: { serviceName: 'Microsoft.App/environments' } }]
          serviceEndpoints: [{ service: 'Microsoft.KeyVault' }]
        }
      }
    ]
  }
}

output appSubnetId string = '${network.id}/subnets/app'
