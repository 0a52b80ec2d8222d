// What azd deploys.
using '../../../infra/main.bicep'

param environmentName = 'your-env'
param location = 'westeurope'
param externalApiKey = 'value-of-the-test'
param databasePassword = 'value-of-the-test'
param identityType = 'UserAssigned'
param vaultAccess = 'rbac'
param networkMode = 'public'
param enablePurgeProtection = false
param softDeleteRetentionInDays = 7
param alwaysReadyInstances = 0
param rotationEvents = false
