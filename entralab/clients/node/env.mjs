// What the lab tells its clients, see Lab.Env.
const need = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

export const authority = need("AZURE_AUTHORITY_HOST");
export const tenant = need("AZURE_TENANT_ID");
export const clientId = need("AZURE_CLIENT_ID");
export const clientSecret = need("AZURE_CLIENT_SECRET");
export const secretId = need("CREDSMITH_LAB_SECRET_ID");
export const graph = need("CREDSMITH_GRAPH_URL");
export const operatorId = need("CREDSMITH_OPERATOR_CLIENT_ID");
export const operatorSecret = need("CREDSMITH_OPERATOR_CLIENT_SECRET");
export const vault = need("CREDSMITH_VAULT_URL");
export const redirectUri = need("LAB_REDIRECT_URI");

export const issuer = `${authority}/${tenant}/v2.0`;
export const graphScope = "https://graph.microsoft.com/.default";
