// What `azd up` deploys: a resource group of its own, and app.bicep in it.
targetScope = 'subscription'

@description('Name of the azd environment. The names of everything follow from it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Azure region of everything, one that has Flex Consumption.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@metadata({ azd: { type: 'location' } })
param location string

@description('Value of the secret ExternalApiKey.')
@minLength(1)
@secure()
param externalApiKey string

@description('Value of the secret DatabasePassword.')
@minLength(1)
@secure()
param databasePassword string

@description('As in app.bicep.')
param identityType string

@description('As in app.bicep.')
param vaultAccess string

@description('As in app.bicep.')
param networkMode string

@description('As in app.bicep.')
param enablePurgeProtection bool

@description('As in app.bicep.')
param softDeleteRetentionInDays int

@description('As in app.bicep.')
param alwaysReadyInstances int

@description('As in app.bicep. With a default, so that azd does not ask for it.')
param alertEmail string = ''

@description('As in app.bicep.')
param rotationEvents bool

var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module app 'app.bicep' = {
  name: 'app'
  scope: group
  params: {
    // Part of a URL and so unique in Azure, which the name of an environment is not.
    appName: 'func-${uniqueString(subscription().id, environmentName, location)}'
    location: location
    tags: tags
    externalApiKey: externalApiKey
    databasePassword: databasePassword
    identityType: identityType
    vaultAccess: vaultAccess
    networkMode: networkMode
    enablePurgeProtection: enablePurgeProtection
    softDeleteRetentionInDays: softDeleteRetentionInDays
    alwaysReadyInstances: alwaysReadyInstances
    alertEmail: alertEmail
    rotationEvents: rotationEvents
  }
}

// azd puts these into its environment, where its hooks find them.
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP_NAME string = app.outputs.functionAppName
output KEY_VAULT_URL string = app.outputs.vaultUri
