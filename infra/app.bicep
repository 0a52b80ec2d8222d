// A Function App on Flex Consumption that runs a custom handler, with its vault, storage and
// telemetry. Nothing here has a key: the app's managed identity opens everything.
targetScope = 'resourceGroup'

@description('Name of the Function App, part of its URL and so unique in Azure.')
@minLength(2)
@maxLength(60)
param appName string

@description('Azure region of everything.')
param location string = resourceGroup().location

@description('Value of the secret ExternalApiKey.')
@minLength(1)
@secure()
param externalApiKey string

@description('Value of the secret DatabasePassword.')
@minLength(1)
@secure()
param databasePassword string

@description('When ExternalApiKey expires, in seconds since 1970; 0 for never.')
@minValue(0)
param externalApiKeyExpires int = 0

@description('When DatabasePassword expires, in seconds since 1970; 0 for never.')
@minValue(0)
param databasePasswordExpires int = 0

@description('The identity of the app. A user-assigned one has its access before the app exists, and outlives it.')
@allowed(['UserAssigned', 'SystemAssigned'])
param identityType string = 'UserAssigned'

@description('Who opens the vault: roles, or its own access policies. Both take two roles, on the storage and on the telemetry.')
@allowed(['rbac', 'accessPolicies'])
param vaultAccess string = 'rbac'

@description('Whether who deploys may manage the secrets of the vault.')
param deployerManagesSecrets bool = true

@description('Object ids of more people, groups or service principals who may manage the secrets.')
param operatorObjectIds string[] = []

@description('Name of the vault, unique in Azure.')
@minLength(3)
@maxLength(24)
param vaultName string = 'kv-${uniqueString(resourceGroup().id, appName)}'

@description('Whether nobody can purge the vault or a secret before its retention ends. Production wants it. It cannot be switched off again.')
param enablePurgeProtection bool = false

@description('For how many days a deleted vault or secret can be recovered. Production wants 90. Fixed once the vault exists.')
@minValue(7)
@maxValue(90)
param softDeleteRetentionInDays int = 7

@description('Who reaches the vault and the storage over the network. `public`: everybody, with a token. `serviceEndpoint`: the app\'s own network. `privateEndpoint`: the same, by private addresses.')
@allowed(['public', 'serviceEndpoint', 'privateEndpoint'])
param networkMode string = 'public'

@description('Address range of the app\'s network, as CIDR, /26 or larger.')
param networkAddressPrefix string = '10.20.0.0/26'

@description('IPv4 addresses or CIDR ranges that reach the vault as well, when it is not public.')
param allowedIpRules string[] = []

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

@description('Instances that always run, and are always paid for. 0: the first request after a quiet time waits for a start.')
@minValue(0)
@maxValue(1000)
param alwaysReadyInstances int = 0

@description('GB of logs a day after which no more are taken until the next day; -1 for no cap.')
@minValue(-1)
param logsDailyCapGb int = 1

@description('Who gets a mail when a secret of the app expires soon or has expired. Empty: nobody, and no alert is made.')
param alertEmail string = ''

@description('Whether new versions of secrets reach the app as events, so that it has Azure resolve its references again. The app\'s identity becomes Website Contributor of the app, and of nothing else.')
param rotationEvents bool = false

@description('Whether the vault gets a system topic for its events. A vault can have one only: deploy.sh sets false if somebody else has made one.')
param makesEventTopic bool = true

@description('Tags of everything, besides the one that names the app.')
param tags object = {}

var usesUserIdentity = identityType == 'UserAssigned'
var usesAccessPolicies = vaultAccess == 'accessPolicies'
var isPublic = networkMode == 'public'
var isPrivate = networkMode == 'privateEndpoint'
var suffix = uniqueString(resourceGroup().id, appName)
// A plan's name has at most 60 characters.
var shortName = length(appName) > 55 ? suffix : appName
var packageContainer = 'app-package'
var keyVaultSecretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
var allTags = union(tags, { 'keyvault-functions': appName })
var addsDeployer = deployerManagesSecrets && !contains(operatorObjectIds, deployer().objectId)
var managerPolicies = map(union(operatorObjectIds, addsDeployer ? [deployer().objectId] : []), id => {
  tenantId: tenant().tenantId
  objectId: id
  permissions: { secrets: ['get', 'list', 'set', 'delete', 'recover', 'backup', 'restore', 'purge'] }
})
var ipRules = [for rule in allowedIpRules: { value: rule }]
// Who is not in the app's network, nor at an allowed address, is refused.
var networkRules = {
  defaultAction: isPublic ? 'Allow' : 'Deny'
  virtualNetworkRules: networkMode == 'serviceEndpoint' ? [{ id: network!.outputs.appSubnetId }] : []
}

resource userIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (usesUserIdentity) {
  name: 'id-${appName}'
  location: location
  tags: allTags
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-${suffix}'
  location: location
  tags: allTags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    workspaceCapping: { dailyQuotaGb: logsDailyCapGb }
    features: { disableLocalAuth: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${suffix}'
  location: location
  tags: allTags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: 'ag-${shortName}'
  location: 'global'
  tags: allTags
  properties: {
    enabled: true
    groupShortName: 'kv-functions'
    emailReceivers: [{ name: 'mail', emailAddress: alertEmail, useCommonAlertSchema: true }]
  }
}

// Looks once an hour. A secret is one mail a day at most.
resource expiryAlert 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = if (!empty(alertEmail)) {
  name: 'expiry-${shortName}'
  location: location
  tags: allTags
  kind: 'LogAlert'
  properties: {
    displayName: 'A secret of ${appName} expires'
    description: 'The handler wrote that a secret of the app expires soon or has expired.'
    severity: 2
    enabled: true
    scopes: [insights.id]
    evaluationFrequency: 'PT1H'
    // Longer than the pause between two looks: a line can arrive late.
    windowSize: 'PT2H'
    // A process that starts anew repeats its latest line.
    muteActionsDuration: 'P1D'
    autoMitigate: false
    // The check asks Application Insights, which may not answer yet when it is a moment old: the
    // whole deployment would fail.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: '''
traces
| where customDimensions.Category == "Host.Function.Console"
| where message has_any ("SecretExpiresSoon", "SecretExpired")
| project timestamp, what = extract(@"warnings: (.+? on \d{4}-\d\d-\d\d)", 1, message)
'''
          // One mail for each secret, with the sentence about it.
          dimensions: [{ name: 'what', operator: 'Include', values: ['*'] }]
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: { actionGroups: [mail.id] }
  }
}

module network 'modules/network.bicep' = if (!isPublic) {
  name: 'network-${suffix}'
  params: {
    name: 'vnet-${shortName}'
    location: location
    tags: allTags
    addressPrefix: networkAddressPrefix
    withEndpoints: isPrivate
  }
}

resource storage 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: 'st${suffix}'
  location: location
  tags: allTags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: union(networkRules, { bypass: 'None' })
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: storage
  name: 'default'
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = {
  parent: blobs
  name: packageContainer
  properties: { publicAccess: 'None' }
}

module storageEndpoint 'modules/private-endpoint.bicep' = if (isPrivate) {
  name: 'storage-endpoint-${suffix}'
  params: {
    name: 'pe-st-${shortName}'
    location: location
    tags: allTags
    targetId: storage.id
    groupId: 'blob'
    zoneName: 'privatelink.blob.${environment().suffixes.storage}'
    networkId: network!.outputs.id
    subnetId: network!.outputs.endpointSubnetId
  }
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: vaultName
  location: location
  tags: allTags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: !usesAccessPolicies
    // A deployment replaces all policies; the access module adds the app's.
    accessPolicies: usesAccessPolicies ? managerPolicies : []
    enableSoftDelete: true
    softDeleteRetentionInDays: softDeleteRetentionInDays
    // Azure refuses an explicit false.
    enablePurgeProtection: enablePurgeProtection ? true : null
    publicNetworkAccess: isPrivate && empty(allowedIpRules) ? 'Disabled' : 'Enabled'
    networkAcls: union(networkRules, { bypass: 'AzureServices', ipRules: isPublic ? [] : ipRules })
  }
}

// One after the other: Key Vault refuses two writes to one vault at once with ConflictError.
resource externalApiKeySecret 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = {
  parent: vault
  name: 'ExternalApiKey'
  properties: {
    value: externalApiKey
    contentType: 'text/plain; API key'
    attributes: externalApiKeyExpires > 0 ? { enabled: true, exp: externalApiKeyExpires } : { enabled: true }
  }
}

resource databasePasswordSecret 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = {
  parent: vault
  name: 'DatabasePassword'
  properties: {
    value: databasePassword
    contentType: 'text/plain; password'
    attributes: databasePasswordExpires > 0 ? { enabled: true, exp: databasePasswordExpires } : { enabled: true }
  }
  dependsOn: [externalApiKeySecret]
}

module vaultEndpoint 'modules/private-endpoint.bicep' = if (isPrivate) {
  name: 'vault-endpoint-${suffix}'
  params: {
    name: 'pe-kv-${shortName}'
    location: location
    tags: allTags
    targetId: vault.id
    groupId: 'vault'
    zoneName: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
    networkId: network!.outputs.id
    subnetId: network!.outputs.endpointSubnetId
  }
  dependsOn: [databasePasswordSecret]
}

// Who read which secret. The app's own lines are in Application Insights: here they would be paid twice.
resource vaultDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspace.id
    logs: [{ category: 'AuditEvent', enabled: true }]
  }
}

// Without a type of principal: who deploys can be a person or a pipeline.
resource deployerManages 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!usesAccessPolicies && addsDeployer) {
  name: guid(vault.id, deployer().objectId, keyVaultSecretsOfficer)
  scope: vault
  properties: {
    principalId: deployer().objectId
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer)
  }
}

resource operatorsManage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for id in (usesAccessPolicies ? [] : operatorObjectIds): {
    name: guid(vault.id, id, keyVaultSecretsOfficer)
    scope: vault
    properties: {
      principalId: id
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer)
    }
  }
]

// A role takes minutes to reach everywhere: an identity that exists before the app has its roles
// before the app, too.
module accessOfUserIdentity 'modules/access.bicep' = if (usesUserIdentity) {
  name: 'access-${suffix}'
  params: {
    principalId: userIdentity!.properties.principalId
    vaultName: vault.name
    usesAccessPolicies: usesAccessPolicies
    storageName: storage.name
    insightsName: insights.name
  }
  dependsOn: [databasePasswordSecret, vaultEndpoint]
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${shortName}'
  location: location
  tags: allTags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

// Without settings: their references need the identity's access, and an identity of the app's own
// has it only once the app exists.
resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: appName
  location: location
  tags: union(allTags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: usesUserIdentity
    ? { type: 'UserAssigned', userAssignedIdentities: { '${userIdentity.id}': {} } }
    : { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: isPublic ? null : network!.outputs.appSubnetId
    keyVaultReferenceIdentity: usesUserIdentity ? userIdentity.id : 'SystemAssigned'
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyInstances > 0 ? [{ name: 'http', instanceCount: alwaysReadyInstances }] : []
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: usesUserIdentity
            ? { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: userIdentity.id }
            : { type: 'SystemAssignedIdentity' }
        }
      }
    }
  }
  dependsOn: [packages, accessOfUserIdentity, vaultEndpoint, storageEndpoint]
}

module accessOfApp 'modules/access.bicep' = if (!usesUserIdentity) {
  name: 'access-of-app-${suffix}'
  params: {
    principalId: app.identity.principalId
    vaultName: vault.name
    usesAccessPolicies: usesAccessPolicies
    storageName: storage.name
    insightsName: insights.name
  }
  dependsOn: [databasePasswordSecret]
}

resource ftpPublishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource scmPublishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

var identitySettings = usesUserIdentity
  ? {
      AZURE_CLIENT_ID: userIdentity!.properties.clientId
      AzureWebJobsStorage__clientId: userIdentity!.properties.clientId
    }
  : {}
var telemetryIdentity = usesUserIdentity
  ? 'ClientId=${userIdentity!.properties.clientId};Authorization=AAD'
  : 'Authorization=AAD'

// All settings of the app: a deployment replaces what is not here. Azure resolves the references
// as soon as it has them, so the identity must have its access before.
resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: union(
    {
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
    },
    identitySettings,
    rotationEvents ? { ROTATION_REFRESH: 'on' } : {}
  )
  dependsOn: [accessOfUserIdentity, accessOfApp, databasePasswordSecret]
}

// With this role the app's identity may change the app itself, so it has it on request only.
module refreshOfReferences 'modules/refresh.bicep' = if (rotationEvents) {
  name: 'refresh-${suffix}'
  params: {
    principalId: usesUserIdentity ? userIdentity!.properties.principalId : app.identity.principalId
    appName: app.name
  }
}

// infra/subscribe.sh makes its subscription once the package is published, because Event Grid asks
// the running app whether it wants the events. Last, so that nothing else writes to the vault then.
resource eventTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (rotationEvents && makesEventTopic) {
  name: 'evgst-${vaultName}'
  location: location
  tags: allTags
  properties: { source: vault.id, topicType: 'Microsoft.KeyVault.vaults' }
  dependsOn: [settings]
}

output functionAppName string = app.name
output functionAppHostName string = app.properties.defaultHostName
output vaultName string = vault.name
output vaultUri string = vault.properties.vaultUri
