package diagnose

import (
	"slices"
	"strings"

	"github.com/credsmith/credsmith/aadsts"
)

// Cause is the stable identifier of one reason why a sign-in fails.
type Cause string

// Family groups causes by what is wrong.
type Family string

// The families.
const (
	ValueFamily      Family = "value"      // the secret sent is not one the app accepts
	IdentityFamily   Family = "identity"   // client id, tenant or cloud
	RequestFamily    Family = "request"    // the shape of the request
	PermissionFamily Family = "permission" // signed in, or would be, but not allowed
	AroundFamily     Family = "around"     // network, clock, other processes
)

// Info is what credsmith knows of a cause.
type Info struct {
	Cause  Cause
	Family Family
	Says   string // one sentence with holes: what is wrong
	Tell   string // how it is told apart from its neighbours
	Codes  []int  // AADSTS codes that it shows as
	Fix    []Fix  // in the order a person does it, with holes
}

// Fix is one step to take. Holes in a table entry: {client_id} {tenant}
// {app} {object_id} {key_id} {authority} {binding}.
type Fix struct {
	Do         string `json:"do"`
	Run        string `json:"run,omitempty"` // a credsmith command
	Portal     string `json:"portal,omitempty"`
	Az         string `json:"az,omitempty"`
	PowerShell string `json:"powershell,omitempty"`
}

func (f Fix) fill(holes *strings.Replacer) Fix {
	return Fix{holes.Replace(f.Do), holes.Replace(f.Run), holes.Replace(f.Portal), holes.Replace(f.Az), holes.Replace(f.PowerShell)}
}

// Lookup returns what is known of a cause.
func Lookup(c Cause) (Info, bool) {
	for _, family := range [][]Info{valueCauses, identityCauses, requestCauses, permissionCauses, aroundCauses} {
		if i := slices.IndexFunc(family, func(info Info) bool { return info.Cause == c }); i >= 0 {
			return family[i], true
		}
	}
	return Info{}, false
}

// Causes returns every cause, in the order of design: value, identity,
// request, permission, around.
func Causes() []Info {
	return slices.Concat(valueCauses, identityCauses, requestCauses, permissionCauses, aroundCauses)
}

// CausesOf returns the causes that a failure may have, most likely first.
func CausesOf(f aadsts.Failure) []Info {
	code := f.Code
	if code == 0 {
		code = codeOf(f.OAuthError)
	}
	if code == 50012 || code == 70002 {
		code = 7000215 // the same refusal before 2019
	}
	var found []Info
	own, _ := causeOfCode(code)
	for _, info := range Causes() {
		switch {
		case !slices.Contains(info.Codes, code):
		case info.Cause == own:
			found = slices.Insert(found, 0, info)
		default:
			found = append(found, info)
		}
	}
	return found
}

// causeOfCode is the cause that a code names by itself. The codes that have
// many causes, 7000215 above all, are not among them.
func causeOfCode(code int) (Cause, bool) {
	causes := map[Cause][]int{
		"app-disabled":              {7000112},
		"service-principal-missing": {7000229},
		"authority-common":          {50059},
		"cloud-wrong":               {900382, 900432, 900439},
		"secret-missing":            {7000216, 7000218, 7000219},
		"credential-kind-wrong":     {700025, 700027, 700211, 700213, 7002138},
		"parameter-missing":         {900144, 90014},
		"grant-type-wrong":          {70003},
		"endpoint-wrong":            {900561, 901002},
		"scope-malformed":           {1002012, 70011, 28000, 28002, 28003, 90009},
		"resource-unknown":          {500011, 50001, 500014},
		"consent-missing":           {65001, 650052, 650057},
		"assignment-required":       {501051, 50105},
		"conditional-access":        {53003, 53000, 530032},
	}
	for cause, codes := range causes {
		if slices.Contains(codes, code) {
			return cause, true
		}
	}
	return "", false
}

// codeOf is the code that an OAuth error most often stands for when the text
// lost its code.
func codeOf(oauthError string) int {
	switch oauthError {
	case "invalid_client":
		return 7000215
	case "unauthorized_client":
		return 700016
	case "invalid_resource":
		return 500011
	case "invalid_scope":
		return 70011
	case "unsupported_grant_type":
		return 70003
	case "invalid_tenant":
		return 90002
	}
	return 0
}

// assignRole gives an app one of a resource's app roles.
const assignRole = `$sp = Get-MgServicePrincipal -Filter "appId eq '{client_id}'"; ` +
	"New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $sp.Id -PrincipalId $sp.Id -ResourceId <object-id of the resource's service principal> -AppRoleId <role-id>"

// Steps that several causes share.
var (
	newSecret = Fix{
		Do:         "Add a new client secret and put its value where the app reads it. Leave the other secrets until nothing uses them.",
		Run:        "credsmith rotate run {binding}",
		Portal:     "App registrations > {app} > Certificates & secrets > Client secrets > New client secret: copy the column Value, not Secret ID",
		Az:         "az ad app credential reset --id {client_id} --append --years 1",
		PowerShell: `Add-MgApplicationPassword -ApplicationId (Get-MgApplication -Filter "appId eq '{client_id}'").Id`,
	}
	prove = Fix{
		Do:  "Restart what uses the setting (running processes keep the old value and cached tokens), then prove it.",
		Run: "credsmith doctor",
	}
	fixValue = Fix{Do: "Correct the value where the app reads it."}

	// hints shows what a value can be compared with.
	hints = Fix{
		Do:         "Compare the value's first three characters with the hints of the app's secrets.",
		Portal:     "App registrations > {app} > Certificates & secrets > Client secrets: the column Value shows the hint",
		Az:         `az ad app credential list --id {client_id} --query "[].{id:keyId,hint:hint,end:endDateTime}" -o table`,
		PowerShell: `(Get-MgApplication -Filter "appId eq '{client_id}'").PasswordCredentials | Select-Object KeyId, Hint, EndDateTime`,
	}
	// ownTenant shows the tenant that a person is signed in to.
	ownTenant = Fix{
		Do:         "Set the tenant id of the tenant that holds the app registration.",
		Portal:     "App registrations > {app} > Overview > Directory (tenant) ID",
		Az:         "az account show --query tenantId -o tsv",
		PowerShell: "(Get-MgContext).TenantId",
	}
	// clientID finds an app's client id by its name.
	clientID = Fix{
		Do:         "Copy the Application (client) ID again, without blanks or quotes.",
		Portal:     "App registrations > {app} > Overview > Application (client) ID",
		Az:         "az ad app list --display-name {app} --query [].appId -o tsv",
		PowerShell: "Get-MgApplication -All | Where-Object DisplayName -eq {app} | Select-Object AppId",
	}
	// consent grants what the app registration asks for, to the app itself.
	consent = Fix{
		Do:         "Have an administrator grant consent to the permissions that the app registration lists.",
		Portal:     "App registrations > {app} > API permissions > Grant admin consent",
		Az:         "az ad app permission admin-consent --id {client_id}",
		PowerShell: assignRole,
	}
	proveAccess = Fix{
		Do:  "Wait some minutes, sign in anew (tokens keep the permissions they were issued with), and prove it on the resource.",
		Run: "credsmith doctor --try graph",
	}
)
