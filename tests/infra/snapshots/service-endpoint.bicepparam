// Closed but for the app and one address, with access policies and the app's own identity.
using '../../../infra/app.bicep'

param appName = 'an-app-whose-name-has-sixty-characters-as-long-as-azure-allo'
param externalApiKey = 'value-of-the-test'
param databasePassword = 'value-of-the-test'
param databasePasswordExpires = 1893456000
param identityType = 'SystemAssigned'
param vaultAccess = 'accessPolicies'
param networkMode = 'serviceEndpoint'
param allowedIpRules = ['192.0.2.1']
param operatorObjectIds = ['00000000-0000-0000-0000-00000000000a']
