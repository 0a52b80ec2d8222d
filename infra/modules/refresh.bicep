// Lets the app's identity have Azure resolve the references of the app again. A module, because the
// name of the role assignment comes from the principal, as in access.bicep.
targetScope = 'resourceGroup'

@description('Object id of the app\'s managed identity.')
param principalId string

@description('Name of the Function App.')
param appName string

// Its `Microsoft.Web/sites/*` has the action, which Microsoft lists nowhere.
var websiteContributor = 'de139f84-1756-47ae-9be6-808fbbe84772'

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

resource refreshesReferences 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(app.id, principalId, websiteContributor)
  scope: app
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', websiteContributor)
  }
}
