// A Function App on Flex Consumption that runs a custom handler, with its vault, storage and
// telemetry. Nothing here has a key: the app's managed identity opens everything.
targetScope = 'resourceGroup'

@description('Name of the Function App; the other names follow from it.')
@minLength(2)
@maxLength(60)
param appName string

@description('Azure region of everything.')
param location string = resourceGroup().location

@description('Value of the secret ExternalApiKey.')
@secure()
param externalApiKey string

@description('Value of the secret DatabasePassword.')
@secure()
param databasePassword string

@description('When ExternalApiKey expires, in seconds since 1970; 0 for never.')
@minValue(0)
param externalApiKeyExpires int = 0

@description('When DatabasePassword expires, in seconds since 1970; 0 for never.')
@minValue(0)
param databasePasswordExpires int = 0

@description('The identity of the app. A user-assigned one outlives the app and its role assignments.')
@allowed(['SystemAssigned', 'UserAssigned'])
param identityType string = 'SystemAssigned'

@description('How the vault knows who may read it: by roles, or by its own access policies.')
@allowed(['rbac', 'accessPolicies'])
param vaultAccess string = 'rbac'

@description('Object ids of the people or groups who manage the secrets, when the vault has access policies.')
param operatorObjectIds string[] = []

@description('Name of the vault, unique in Azure.')
@minLength(3)
@maxLength(24)
param vaultName string = 'kv-${uniqueString(resourceGroup().id, appName)}'

@description('Whether nobody can purge the vault or a secret before its retention ends. It cannot be switched off again.')
param enablePurgeProtection bool = true

@description('For how many days a deleted vault or secret can be recovered. Fixed once the vault exists.')
@minValue(7)
@maxValue(90)
param softDeleteRetentionInDays int = 90

@description('Whether the vault refuses every network but the app\'s, the allowed addresses and trusted Azure services. The app then gets a network of its own.')
param restrictVaultNetwork bool = false

@description('Address range of the app\'s network when the vault is restricted, as CIDR, /27 or larger.')
param networkAddressPrefix string = '10.20.0.0/26'

@description('IPv4 addresses or CIDR ranges that a restricted vault allows.')
param vaultAllowedIpRules string[] = []

@description('For how many seconds the app holds an answer of the vault for fresh.')
@minValue(1)
@maxValue(86400)
param secretCacheTtlSeconds int = 300

@description('Age in seconds at which the app gives an answer no more, while the vault cannot be reached.')
param secretCacheMaxStaleSeconds int = 3600

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('The most instances that the app may have.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

var usesUserIdentity = identityType == 'UserAssigned'
var usesAccessPolicies = vaultAccess == 'accessPolicies'
var suffix = uniqueString(resourceGroup().id, appName)
var packageContainer = 'app-package'
var operatorPolicies = [for id in operatorObjectIds: { tenantId: tenant().tenantId, objectId: id, permissions: { secrets: ['get', 'list', 'set', 'delete', 'recover', 'backup', 'restore'] } }]
var allowedIpRules = [for rule in vaultAllowedIpRules: { value: rule }]

resource userIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (usesUserIdentity) {
  name: 'id-${appName}'
  location: location
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${suffix}'
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    features: { disableLocalAuth: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${suffix}'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'st${suffix}'
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: storage
  name: 'default'
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: packageContainer
  properties: { publicAccess: 'None' }
}

module network 'modules/network.bicep' = if (restrictVaultNetwork) {
  name: 'network-${suffix}'
  params: {
    name: 'vnet-${appName}'
    location: location
    addressPrefix: networkAddressPrefix
  }
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: vaultName
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: !usesAccessPolicies
    // A deployment replaces all policies; the access module adds the app's.
    accessPolicies: operatorPolicies
    enableSoftDelete: true
    softDeleteRetentionInDays: softDeleteRetentionInDays
    // Azure refuses an explicit false.
    enablePurgeProtection: enablePurgeProtection ? true : null
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: restrictVaultNetwork ? 'Deny' : 'Allow'
      ipRules: restrictVaultNetwork ? allowedIpRules : []
      virtualNetworkRules: restrictVaultNetwork ? [{ id: network!.outputs.appSubnetId }] : []
    }
  }
}

resource externalApiKeySecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'ExternalApiKey'
  properties: {
    value: externalApiKey
    contentType: 'text/plain; API key'
    attributes: externalApiKeyExpires > 0 ? { enabled: true, exp: externalApiKeyExpires } : { enabled: true }
  }
}

resource databasePasswordSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'DatabasePassword'
  properties: {
    value: databasePassword
    contentType: 'text/plain; password'
    attributes: databasePasswordExpires > 0 ? { enabled: true, exp: databasePasswordExpires } : { enabled: true }
  }
}

resource vaultDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspace.id
    logs: [{ category: 'AuditEvent', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${appName}'
  location: location
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

// Without settings: they need the identity's access, and access needs the identity.
resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: appName
  location: location
  kind: 'functionapp,linux'
  tags: { 'azd-service-name': 'api' }
  identity: usesUserIdentity ? { type: 'UserAssigned', userAssignedIdentities: { '${userIdentity.id}': {} } } : { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: restrictVaultNetwork ? network!.outputs.appSubnetId : null
    keyVaultReferenceIdentity: usesUserIdentity ? userIdentity.id : 'SystemAssigned'
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: usesUserIdentity ? { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: userIdentity.id } : { type: 'SystemAssignedIdentity' }
        }
      }
    }
  }
  dependsOn: [packages]
}

resource ftpPublishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource scmPublishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

resource appDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspace.id
    logs: [{ category: 'FunctionAppLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

module access 'modules/access.bicep' = {
  name: 'access-${suffix}'
  params: {
    principalId: usesUserIdentity ? userIdentity!.properties.principalId : app.identity.principalId
    vaultName: vault.name
    usesAccessPolicies: usesAccessPolicies
    storageName: storage.name
    insightsName: insights.name
  }
}

var identitySettings = usesUserIdentity ? { AZURE_CLIENT_ID: userIdentity!.properties.clientId, AzureWebJobsStorage__clientId: userIdentity!.properties.clientId } : {}
var telemetryIdentity = usesUserIdentity ? 'ClientId=${userIdentity!.properties.clientId};Authorization=AAD' : 'Authorization=AAD'

// All settings of the app: a deployment replaces what is not here. Azure resolves the references
// as soon as it has them, so the identity must have its access before.
resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union({
    // Pinned to a version: the next deployment changes it.
    EXTERNAL_API_KEY: '@Microsoft.KeyVault(SecretUri=${externalApiKeySecret.properties.secretUriWithVersion})'
    // The latest version, which Azure reads again within a day.
    DATABASE_PASSWORD: '@Microsoft.KeyVault(VaultName=${vault.name};SecretName=DatabasePassword)'
    KEY_VAULT_URL: vault.properties.vaultUri
    SECRET_CACHE_TTL_SECONDS: string(secretCacheTtlSeconds)
    SECRET_CACHE_MAX_STALE_SECONDS: string(secretCacheMaxStaleSeconds)
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__credential: 'managedidentity'
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: telemetryIdentity
  }, identitySettings)
  dependsOn: [access, databasePasswordSecret]
}

output functionAppName string = app.name
output functionAppHostName string = app.properties.defaultHostName
output vaultName string = vault.name
output vaultUri string = vault.properties.vaultUri
