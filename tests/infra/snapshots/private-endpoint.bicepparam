// Closed to the internet, with what production wants.
using '../../../infra/app.bicep'

param appName = 'your-func'
param externalApiKey = 'value-of-the-test'
param databasePassword = 'value-of-the-test'
param externalApiKeyExpires = 1893456000
param networkMode = 'privateEndpoint'
param enablePurgeProtection = true
param softDeleteRetentionInDays = 90
param alwaysReadyInstances = 1
param alertEmail = 'operators@example.org'
param deployerManagesSecrets = false
param operatorObjectIds = ['00000000-0000-0000-0000-00000000000a']
