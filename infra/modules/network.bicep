// A network for the app, from which it reaches a vault and a storage account that are closed to
// the others: by a service endpoint, which costs nothing, or by private addresses.
targetScope = 'resourceGroup'

@description('Name of the network.')
param name string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Address range of the network, as CIDR, /26 or larger.')
param addressPrefix string

@description('Whether there is a subnet for private endpoints, and no service endpoint.')
param withEndpoints bool

var appSubnet = {
  name: 'app'
  properties: {
    addressPrefix: cidrSubnet(addressPrefix, 27, 0)
    // What Flex Consumption asks of a subnet. The resource provider Microsoft.App must be registered.
    delegations: [{ name: 'flex-consumption', properties: { serviceName: 'Microsoft.App/environments' } }]
    serviceEndpoints: withEndpoints ? [] : [{ service: 'Microsoft.KeyVault' }, { service: 'Microsoft.Storage' }]
  }
}
var endpointSubnet = {
  name: 'endpoints'
  properties: { addressPrefix: cidrSubnet(addressPrefix, 27, 1) }
}

resource network 'Microsoft.Network/virtualNetworks@2025-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    // Here and not as resources of their own, because a deployment of the network removes the others.
    subnets: withEndpoints ? [appSubnet, endpointSubnet] : [appSubnet]
  }
}

output id string = network.id
output appSubnetId string = '${network.id}/subnets/app'
output endpointSubnetId string = '${network.id}/subnets/endpoints'
