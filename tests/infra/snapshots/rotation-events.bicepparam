// New versions of secrets reach the app as events.
using '../../../infra/app.bicep'

param appName = 'your-func'
param externalApiKey = 'value-of-the-test'
param databasePassword = 'value-of-the-test'
param rotationEvents = true
