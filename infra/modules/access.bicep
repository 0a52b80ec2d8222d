// What the app's identity may do. A module, because the names of role assignments come from the
// principal, which is known only once the identity exists: a recreated identity gets new ones.
targetScope = 'resourceGroup'

@description('Object id of the app\'s managed identity.')
param principalId string

@description('Name of the vault.')
param vaultName string

@description('Whether the vault uses its own access policies and not roles.')
param usesAccessPolicies bool

@description('Name of the storage account.')
param storageName string

@description('Name of the Application Insights component.')
param insightsName string

var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var keyVaultReader = '21090545-7ca7-4776-b22c-e363652d74d2'
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' existing = {
  name: storageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource readsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!usesAccessPolicies) {
  name: guid(vault.id, principalId, keyVaultSecretsUser)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
  }
}

// The lists of keys and certificates, which Secrets User may not read. It opens no value.
resource listsVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!usesAccessPolicies) {
  name: guid(vault.id, principalId, keyVaultReader)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultReader)
  }
}

resource readsVaultByPolicy 'Microsoft.KeyVault/vaults/accessPolicies@2026-02-01' = if (usesAccessPolicies) {
  parent: vault
  name: 'add'
  properties: {
    accessPolicies: [
      {
        tenantId: tenant().tenantId
        objectId: principalId
        // `get` is the references', `list` the metadata's. Of keys and certificates `get` gives no
        // private part.
        permissions: { secrets: ['get', 'list'], keys: ['get', 'list'], certificates: ['get', 'list'] }
      }
    ]
  }
}

resource ownsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, principalId, storageBlobDataOwner)
  scope: storage
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

resource publishesMetrics 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, principalId, monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}
