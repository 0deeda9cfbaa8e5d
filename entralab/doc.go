// Package entralab emulates a Microsoft Entra tenant: the token service,
// Microsoft Graph, and a control origin to play the tenant's administrator.
// Unchanged Microsoft SDKs run against it. Use it to test what your program
// does when a client secret expires, is deleted, or is not yet known
// everywhere:
//
//	func TestBilling(t *testing.T) {
//		lab := entralab.New(t)
//		app, err := lab.AddApp(entralab.AppSpec{Secrets: []entralab.SecretSpec{{}}})
//		...
//		credential, err := azidentity.NewClientSecretCredential(lab.TenantID(), app.ClientID,
//			app.Secrets[0].Value.Reveal(), &azidentity.ClientSecretCredentialOptions{
//				DisableInstanceDiscovery: true,
//				ClientOptions: policy.ClientOptions{
//					Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: lab.AuthorityURL()},
//					Transport: lab.Client(),
//				},
//			})
//		...
//		lab.RemoveSecret(app.ObjectID, app.Secrets[0].KeyID)
//		// now the same request is refused with AADSTS7000215
//	}
//
// # Origins
//
// The authority, Graph and Key Vault speak TLS under one CA, which is made anew
// for every lab ([Lab.CAPEM]). The control origin speaks plain HTTP and serves
// the portal's pages as well. All listen on loopback only and answer for
// loopback names only, never for a Microsoft host name, except that the vault
// answers for NAME.vault.azure.net to those whom [Lab.Client] or their own
// resolver leads there. [Lab.Transport] reaches all of them without sockets,
// which makes testing/synctest possible. Package entralab/mail adds SMTP
// submission and IMAP with XOAUTH2; services of your own take the lab's tokens
// by [Lab.CheckToken].
//
// # What is emulated
//
// Authority: discovery of both versions, keys, instance discovery for its own
// host, and both token endpoints with the client_credentials grant: by client
// secret, sent in the form or by HTTP Basic; by an assertion under one of the
// app's keyCredentials ([AppSpec.Certificates], [Lab.RevokeCertificate]); or by
// a federated credential, for which the lab plays the foreign issuer
// ([Lab.SignAssertion]). Users sign in by authorization code with PKCE or by
// device code, on a page or by themselves ([Config.AutoSignIn]); a sign-in on
// the page begins a session of the browser. Refresh tokens, ID tokens, userinfo
// and sign-out follow; an API may go on in the user's name (on-behalf-of).
// [Lab.Refuse] makes the service refuse an app for reasons that no request
// causes, such as Conditional Access. Errors carry the codes, texts, fields and
// headers of the real service; access tokens are RS256 JWTs with the claims of
// app-only tokens, and "xms_lab": true.
//
// Graph, v1.0 and beta alike: applications and servicePrincipals with their
// secrets, keyCredentials with proof, owners, app roles of their own,
// appRoleAssignments, appRoleAssignedTo and federatedIdentityCredentials;
// oauth2PermissionGrants; directory/deletedItems for thirty days;
// policies/defaultAppManagementPolicy and appManagementPolicies, which
// addPassword obeys; auditLogs/directoryAudits and, in beta, auditLogs/signIns
// and reports/appCredentialSignInActivities; organization and users; $filter,
// $search, $select, $top, $count, /$count, $orderby, $expand=owners and paging
// on lists; delta queries; $batch; throttling by resource units
// ([Config.Throttling]); application permissions including
// Application.ReadWrite.OwnedBy; and /metadata/endpoints for HashiCorp's
// providers. What is not known is refused with an error object, never ignored:
// a filter the lab cannot read is a 400.
//
// Key Vault: the challenge, secrets with versions, soft delete, backups, roles
// and firewalls, in as many vaults as wanted ([Lab.AddVault]), and Event Grid's
// events to a webhook.
//
// Secrets: value and hint of today's shape, start, expiry and deletion, the
// two-secret limit of personal accounts, and acceptance that lags behind the
// directory and differs between replicas ([Delay]). Whoever mints a secret
// learns its value, once. The lab keeps a salted hash of every value, and the
// text of those of the two seeded apps ([Lab.Healthy], [Lab.Operator]).
//
// Time: the lab has its own clock ([Lab.Advance], [Lab.Set], [Lab.Freeze]).
//
// Faults: nothing goes wrong unless asked. [Lab.AddFault] puts a rule in force,
// [Config.Profile] starts with a mixture. What happens follows the random seed
// without moving any id. [Lab.Invariants] counts what a rotation must not leave
// behind.
//
// Size: [Lab.AddApps] fills large tenants in one step, some 700 bytes an app.
// Its generated values are forgotten: give a secret a Value to sign in with it.
// Apps dated more than 30 days back leave no audit entries.
//
// Keeping: a lab with a [Config.Store] goes on where it ended. A write is saved
// before it is answered, the history of sign-ins within some 100 ms. Codes,
// refresh tokens, device codes, sessions of browsers and fault rules end with
// the process. [Lab.Export] and [Lab.Import] carry all tenants as one JSON
// document with salted hashes and no values; [Config.Seed] fills a new lab.
//
// # What is not
//
// Password and implicit grants, passwords of users, other clouds, keys of
// foreign issuers other than the lab's own, subject name and issuer
// authentication, consent that is asked for and kept, keys and certificates in
// Key Vault. Lists come in the order of creation.
//
// # What is promised
//
// The Go API and the JSON of the control origin keep their names: members are
// added, not renamed. What the authority and Graph answer follows the real
// services and changes when they do or when a mistake is found. Where the
// source of a behaviour is a recording or a public log, or only recollection,
// a comment beside it says so.
//
// # Control origin
//
//	GET  /control/state
//	GET  /control/history?after=SEQ
//	GET  /control/invariants?older=15m&window=1h
//	GET  /control/faults
//	POST /control/clock   {"advance":"48h"} | {"set":"2027-01-01T00:00:00Z"} | {"freeze":true}
//	POST /control/delay   {"accept":"8s","remove":"30s","replicas":3,"signin_lag":"5m","audit_lag":"2m"}
//	POST /control/sign-in {"user":"USER_PRINCIPAL_NAME"} | {"user":"login_hint"} | {"user":""}
//	POST /control/faults  {"match":{"surface":"graph","path":"*addPassword"},"fault":"F8","nth":3}
//	DELETE /control/faults[/ID]
//	POST /control/refusals {"app":"OBJECT_ID","code":53003}
//	POST /control/throttle {"on":true}
//	POST /control/licence {"premium":false}
//	POST /control/vault   {"action":"set-secret","vault":"kv-lab","secret":"s","value":"…"}
//	POST /control/portal  {"action":"add-secret","app":"OBJECT_ID","display_name":"…","start":"…","end":"…","at":"-30d"}
//	                      {"action":"delete-secret","app":"…","key_id":"…"}
//	                      {"action":"disable-app|enable-app|deactivate-app|activate-app|delete-app|restore-app","app":"…"}
//	                      {"action":"rename","app":"…","display_name":"…"}
//	                      {"action":"add-owner|remove-owner","app":"…","owner":"…"}
//	                      {"action":"grant|revoke","app":"…","permission":"…"}
//
// Durations are Go's, or whole days. add-secret answers as addPassword does,
// the other actions with 204; errors are {"error":"…"}. The events of the
// history are described at [Event].
package entralab
