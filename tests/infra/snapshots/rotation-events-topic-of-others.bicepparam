// The same for an identity of the app's own, where the vault has a system topic already.
using '../../../infra/app.bicep'

param appName = 'your-func'
param externalApiKey = 'value-of-the-test'
param databasePassword = 'value-of-the-test'
param identityType = 'SystemAssigned'
param rotationEvents = true
param makesEventTopic = false
