// What deploy.sh deploys when nothing is set.
using '../../../infra/app.bicep'

param appName = 'your-func'
param externalApiKey = 'value-of-the-test'
param databasePassword = 'value-of-the-test'
