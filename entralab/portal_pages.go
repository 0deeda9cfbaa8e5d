package entralab

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"sync"
)

const portalStyle = `*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;margin:0;color:#1b1b1b;background:#fff}` +
	`header{background:#1f3a5f;color:#fff;padding:.6rem 1.5rem;display:flex;gap:1.5rem;align-items:baseline;flex-wrap:wrap}` +
	`header a{color:#fff;text-decoration:none;padding-bottom:2px}header a:hover,header a[aria-current]{border-bottom:2px solid #fff}header span{margin-left:auto;opacity:.9}` +
	`main{max-width:80rem;margin:1.5rem auto;padding:0 1.5rem}h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem}` +
	`table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-bottom:1px solid #e1dfdd;vertical-align:top;overflow-wrap:anywhere}th{font-weight:600;white-space:nowrap}` +
	`code{font:13px ui-monospace,monospace}time,td code{white-space:nowrap}li form{display:inline}input,select,button{font:inherit;padding:.3rem .6rem;border:1px solid #8a8886;border-radius:3px;background:#fff}button{cursor:pointer;white-space:nowrap}button:hover,button:focus-visible{background:#f3f2f1}` +
	`form.row{display:flex;gap:.75rem;flex-wrap:wrap;align-items:end;margin:.5rem 0}label{display:flex;flex-direction:column;font-size:.85rem}` +
	`.bad{color:#a4262c}.good{color:#0b6a0b}.note{border-left:4px solid #0b6a0b;background:#f3faf3;padding:.75rem 1rem;margin:1rem 0}.refused{border-left:4px solid #a4262c;background:#fdf3f4;padding:.75rem 1rem}` +
	`dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.5rem}dt{font-weight:600}dd{margin:0}.muted{color:#605e5c}`

const portalText = `
{{define "top"}}<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}} (lab)</title><style>` + portalStyle + `</style></head><body>
<header><strong>credsmith lab</strong><nav aria-label="Pages">
<a href="/"{{if eq .Here "/"}} aria-current="page"{{end}}>App registrations</a> &nbsp;
<a href="/portal/sign-ins"{{if eq .Here "/portal/sign-ins"}} aria-current="page"{{end}}>Sign-in logs</a> &nbsp;
<a href="/portal/audit"{{if eq .Here "/portal/audit"}} aria-current="page"{{end}}>Audit logs</a> &nbsp;
<a href="/portal/faults"{{if eq .Here "/portal/faults"}} aria-current="page"{{end}}>Faults</a> &nbsp;
<a href="/portal/time"{{if eq .Here "/portal/time"}} aria-current="page"{{end}}>Clock and delay</a></nav>
<span>emulated tenant, not Microsoft · <time>{{.Now}}</time> UTC{{if .Frozen}} (frozen){{end}}</span></header><main>
<h1>{{.Title}}</h1>{{end}}
{{define "end"}}</main></body></html>{{end}}

{{define "apps"}}{{template "top" .}}
<form class="row" method="get" action="/"><label>Name or id <input name="q" value="{{.Query}}" size="40"></label><button>Search</button></form>
<table><thead><tr><th>Display name</th><th>Application (client) ID</th><th>Tenant</th><th>Secrets</th></tr></thead><tbody>
{{range .Apps}}<tr><td><a href="{{.Link}}">{{.Name}}</a></td><td><code>{{.ClientID}}</code></td><td>{{.Tenant}}</td><td>{{.Secrets}}</td></tr>
{{else}}<tr><td colspan="4">No app registration matches.</td></tr>{{end}}</tbody></table>
{{with .Next}}<p><a href="{{.}}">Next page</a></p>{{end}}{{template "end"}}{{end}}

{{define "app"}}{{template "top" .}}{{$path := .Path}}
{{with .Minted}}<div class="note" role="status"><strong>Copy the value now: it is shown this once.</strong>
<dl><dt>Value</dt><dd><code id="value">{{.Value}}</code></dd><dt>Secret ID</dt><dd><code>{{.KeyID}}</code></dd></dl></div>{{end}}
<dl><dt>State</dt><dd>{{if .Deleted}}<span class="bad">deleted</span>{{else if .Disabled}}<span class="bad">disabled</span>{{else}}enabled{{end}}</dd>
<dt>Application (client) ID</dt><dd><code>{{.ClientID}}</code></dd><dt>Object ID</dt><dd><code>{{.ObjectID}}</code></dd>
<dt>Directory (tenant)</dt><dd>{{.Tenant}} <code>{{.TenantID}}</code></dd><dt>Supported account types</dt><dd>{{.Audience}}</dd></dl>
{{if .Deleted}}<form class="row" method="post" action="{{$path}}/restore-app"><button>Restore</button></form>{{else}}
<h2>Client secrets</h2>
<table><thead><tr><th>Description</th><th>Start</th><th>Expires</th><th>State</th><th>Value</th><th>Secret ID</th><th></th></tr></thead><tbody>
{{range .Secrets}}<tr><td>{{.Description}}</td><td><time>{{.Start}}</time></td><td><time>{{.End}}</time></td><td class="{{if eq .Status "valid"}}good{{else}}bad{{end}}">{{.Status}}</td>
<td><code>{{.Hint}}************</code></td><td><code>{{.KeyID}}</code></td>
<td><form method="post" action="{{$path}}/delete-secret"><button name="key_id" value="{{.KeyID}}" aria-label="Delete secret {{.KeyID}}">Delete</button></form></td></tr>
{{else}}<tr><td colspan="7">No client secrets have been created for this application.</td></tr>{{end}}</tbody></table>
<form class="row" method="post" action="{{$path}}/add-secret"><label>Description <input name="display_name" maxlength="120"></label>
<label>Start <input name="start" type="date"></label><label>Expires <input name="end" type="date"></label>
<label>Added <input name="at" placeholder="now, or -30d" size="12"></label><button>New client secret</button></form>
<p class="muted">Dates may lie in the past: that is how an expired secret is made.</p>
<h2>Owners</h2>{{if .Owners}}<ul>{{range .Owners}}<li>{{.}}</li>{{end}}</ul>{{else}}<p>No owners.</p>{{end}}
<h2>Permissions of Microsoft Graph</h2>{{if .Permissions}}<ul>{{range .Permissions}}<li>{{.}}
<form method="post" action="{{$path}}/revoke"><button name="permission" value="{{.}}" aria-label="Revoke {{.}}">Revoke</button></form></li>{{end}}</ul>{{else}}<p>None granted.</p>{{end}}
{{if .Grantable}}<form class="row" method="post" action="{{$path}}/grant"><label>Permission <select name="permission">{{range .Grantable}}<option>{{.}}</option>{{end}}</select></label><button>Grant</button></form>{{end}}
<h2>The registration</h2>
<form class="row" method="post" action="{{$path}}/rename"><label>Display name <input name="display_name" value="{{.Name}}" required></label><button>Rename</button></form>
<form class="row" method="post" action="{{$path}}/{{if .Disabled}}enable-app{{else}}disable-app{{end}}"><button>{{if .Disabled}}Enable{{else}}Disable{{end}} sign-in</button></form>
<form class="row" method="post" action="{{$path}}/delete-app"><button class="bad">Delete</button></form>{{end}}{{template "end"}}{{end}}

{{define "sign-ins"}}{{template "top" .}}
<table><thead><tr><th>Date (UTC)</th><th>Application</th><th>Status</th><th>Secret ID</th></tr></thead><tbody>
{{range .Rows}}<tr><td><time>{{.At}}</time></td><td>{{if .Link}}<a href="{{.Link}}">{{.App}}</a>{{else}}{{.App}}{{end}}</td><td class="{{if .Failed}}bad{{else}}good{{end}}">{{.What}}</td><td><code>{{.Detail}}</code></td></tr>
{{else}}<tr><td colspan="4">Nobody has signed in.</td></tr>{{end}}</tbody></table>{{template "end"}}{{end}}

{{define "audit"}}{{template "top" .}}
<table><thead><tr><th>Date (UTC)</th><th>Activity</th><th>Target</th><th>Type</th><th>Initiated by</th></tr></thead><tbody>
{{range .Rows}}<tr><td><time>{{.At}}</time></td><td>{{.What}}</td><td>{{.App}}</td><td>{{.Detail}}</td><td>{{.Who}}</td></tr>
{{else}}<tr><td colspan="5">Nothing has changed.</td></tr>{{end}}</tbody></table>{{template "end"}}{{end}}

{{define "faults"}}{{template "top" .}}
<table><thead><tr><th>Rule</th><th>Fault</th><th>Requests</th><th>How often</th><th>Fired</th><th></th></tr></thead><tbody>
{{range .Rules}}<tr><td>{{.ID}}</td><td>{{.Fault}}: {{.Name}}</td><td><code>{{.Match}}</code></td><td>{{.Often}}</td><td>{{.Fired}}</td>
<td><form method="post" action="/portal/faults"><button name="remove" value="{{.ID}}" aria-label="Remove {{.ID}}">Remove</button></form></td></tr>
{{else}}<tr><td colspan="6">Nothing goes wrong.</td></tr>{{end}}</tbody></table>
{{if .Rules}}<form class="row" method="post" action="/portal/faults"><button name="remove" value="all">Remove all</button></form>{{end}}
<h2>Add a fault</h2>
<form class="row" method="post" action="/portal/faults"><label>Fault <select name="fault">{{range .Kinds}}<option value="{{.Value}}">{{.Name}}</option>{{end}}</select></label>
<label>Kind <input name="kind" placeholder="each in turn" size="12"></label>
<label>Surface <select name="surface"><option value="">any</option>{{range .Surfaces}}<option>{{.}}</option>{{end}}</select></label>
<label>Method <input name="method" placeholder="any" size="6"></label><label>Path <input name="path" placeholder="*addPassword"></label>
<label>App <input name="app" placeholder="client or object id"></label><label>Rate <input name="rate" placeholder="0.1" size="4"></label>
<label>Nth <input name="nth" size="3"></label><label>Times <input name="times" size="3"></label><button>Add</button></form>
<p class="muted">docs/lab.md says what each fault does and which kinds it has.</p>{{template "end"}}{{end}}

{{define "time"}}{{template "top" .}}
<h2>Clock</h2>
<form class="row" method="post" action="/portal/time"><label>Advance by <input name="advance" placeholder="48h, 30d or -1h" required></label><button name="do" value="advance">Advance</button></form>
<form class="row" method="post" action="/portal/time"><label>Set to <input name="set" placeholder="2027-01-01T00:00:00Z" required></label><button name="do" value="set">Set</button></form>
<form class="row" method="post" action="/portal/time"><button name="do" value="{{if .Frozen}}unfreeze{{else}}freeze{{end}}">{{if .Frozen}}Let it run{{else}}Freeze{{end}}</button></form>
<h2>Delay of new and removed secrets</h2>
<p class="muted">How long sign-in servers take to learn of secrets written from now on.</p>
<form class="row" method="post" action="/portal/time"><label>Until accepted <input name="accept" value="{{.Delay.Accept}}"></label>
<label>Until refused <input name="remove" value="{{.Delay.Remove}}"></label><button name="do" value="delay">Save</button></form>{{template "end"}}{{end}}

{{define "problem"}}{{template "top" .}}<p class="refused" role="alert">{{.Text}}</p>{{template "end"}}{{end}}
`

var portalPages = sync.OnceValue(func() *template.Template { return template.Must(template.New("").Parse(portalText)) })

var portalPolicy = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(portalStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
})

func writePortal(w http.ResponseWriter, status int, name string, view any) {
	var b bytes.Buffer
	if err := portalPages().ExecuteTemplate(&b, name, view); err != nil {
		panic("entralab: " + err.Error()) // the templates are fixed
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", portalPolicy())
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(bytes.TrimSpace(b.Bytes()))
}
