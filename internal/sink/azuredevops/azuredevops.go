// Package azuredevops writes a secret of Azure Pipelines: a variable of a
// variable group, or the key of an Azure service connection.
//
// Paths and bodies are those of the REST API, version 7.1
// (learn.microsoft.com/rest/api/azure/devops). A write replaces a group or a
// connection whole: it goes back as it came, with the one value changed.
// Secrets come as null, and a null that goes back keeps them (reported by
// users of the API); that this holds for connections is recalled, unverified.
package azuredevops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// Config is the configuration of a sink: VariableGroup with Variable, or
// ServiceConnection.
type Config struct {
	Organization      string `yaml:"organization"`       // "contoso", of dev.azure.com
	Project           string `yaml:"project"`            // name or id
	VariableGroup     int    `yaml:"variable_group"`     // id: the number in the group's address
	Variable          string `yaml:"variable"`           // "AZURE_CLIENT_SECRET"
	ServiceConnection string `yaml:"service_connection"` // id of an Azure Resource Manager connection with a secret
}

// maxValue bounds a value, in bytes (recalled, unverified).
const maxValue = 32 << 10

// Authorize adds a credential to a request.
type Authorize func(*http.Request) error

// Sink is one secret.
type Sink struct {
	c         Config
	authorize Authorize
	client    *http.Client
}

var isName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`) })

// New returns the sink of a configuration; its errors name the field.
func New(c Config, authorize Authorize, client *http.Client) (*Sink, error) {
	group := c.VariableGroup != 0 || c.Variable != ""
	switch {
	case !isName().MatchString(c.Organization):
		return nil, fmt.Errorf("organization: %q is not a name such as contoso", c.Organization)
	case c.Project == "" || c.Project == "." || c.Project == ".." || !utf8.ValidString(c.Project) || strings.ContainsAny(c.Project, "/\\?#"):
		return nil, fmt.Errorf("project: %q is not the name of a project", c.Project)
	case group == (c.ServiceConnection != ""):
		return nil, errors.New("variable_group: name either a variable group and a variable, or a service_connection")
	case group && (c.VariableGroup < 1 || c.Variable == ""):
		return nil, errors.New("variable_group: name the number of the group, and the variable")
	case group && (len(c.Variable) > 400 || !utf8.ValidString(c.Variable)):
		return nil, errors.New("variable: is longer than 400 bytes, or not UTF-8")
	case !group && !entra.IsGUID(c.ServiceConnection):
		return nil, errors.New("service_connection: is not the id of one: az devops service-endpoint list")
	}
	return &Sink{c, authorize, client}, nil
}

// Ref returns "azuredevops:ORGANIZATION/PROJECT/variablegroups/7#NAME", or
// "…/endpoints/ID".
func (s *Sink) Ref() string {
	return "azuredevops:" + strings.ToLower(s.c.Organization+"/"+s.c.Project) + "/" + s.what()
}

func (s *Sink) what() string {
	if s.c.ServiceConnection != "" {
		return "endpoints/" + strings.ToLower(s.c.ServiceConnection)
	}
	return "variablegroups/" + strconv.Itoa(s.c.VariableGroup) + "#" + s.c.Variable
}

// path is that of the group or the connection. They are read in their project,
// and written across projects.
func (s *Sink) path(project string) string {
	const of = "https://dev.azure.com/"
	if s.c.ServiceConnection != "" {
		return of + s.c.Organization + project + "/_apis/serviceendpoint/endpoints/" + s.c.ServiceConnection + "?api-version=7.1"
	}
	return of + s.c.Organization + project + "/_apis/distributedtask/variablegroups/" + strconv.Itoa(s.c.VariableGroup) + "?api-version=7.1"
}

// Abilities: no secret is given back, and nothing is compared.
func (s *Sink) Abilities() sink.Abilities { return sink.Abilities{} }

// Check reads what would be written, and sees that it can hold the value.
func (s *Sink) Check(ctx context.Context) error {
	_, err := s.Read(ctx)
	return err
}

// Read tells whether there is such a secret.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	whole, err := s.look(ctx, "read")
	if err != nil {
		return sink.Held{}, err
	}
	if s.c.ServiceConnection != "" {
		_, err := s.principal("read", whole)
		return sink.Held{Exists: err == nil}, err
	}
	variables, err := s.variables("read", whole)
	_, exists := variables[s.name(variables)]
	return sink.Held{Exists: exists}, err
}

// Write puts the group or the connection back with the new value.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	value := d.Value.Reveal()
	if value == "" || len(value) > maxValue || !utf8.ValidString(value) {
		return "", &sink.Error{Op: s.op("write"), Kind: sink.Invalid, Err: errors.New("the value is empty, longer than 32 KiB, or not UTF-8"), Next: "deliver it another way"}
	}
	release, err := web.Alone(ctx, s.path(""), s.op("write"))
	if err != nil {
		return "", err
	}
	defer release()
	whole, err := s.look(ctx, "write")
	if err != nil {
		return "", err
	}
	whole = maps.Clone(whole)
	if s.c.ServiceConnection != "" {
		err = s.setKey(whole, value, d.ClientID)
	} else {
		err = s.setVariable(whole, value)
	}
	if err != nil {
		return "", err
	}
	resp, err := s.send(ctx, "write", http.MethodPut, s.path(""), whole)
	if err != nil {
		return "", err
	}
	if resp.Status != http.StatusOK {
		return "", s.refused("write", resp)
	}
	var answer struct{ ID json.RawMessage }
	if json.Unmarshal(resp.Body, &answer) != nil || answer.ID == nil {
		return "", s.foreign("write")
	}
	return "", nil
}

// thing is a group or a connection as it came.
type thing = map[string]json.RawMessage

func (s *Sink) look(ctx context.Context, verb string) (thing, error) {
	resp, err := s.send(ctx, verb, http.MethodGet, s.path("/"+url.PathEscape(s.c.Project)), nil)
	if err != nil {
		return nil, err
	}
	// A group that is not there is 200 with null (recalled, unverified).
	if resp.Status == http.StatusOK && strings.TrimSpace(string(resp.Body)) == "null" {
		resp.Status = http.StatusNotFound
	}
	if resp.Status != http.StatusOK {
		return nil, s.refused(verb, resp)
	}
	var whole thing
	if json.Unmarshal(resp.Body, &whole) != nil || whole["id"] == nil {
		return nil, s.foreign(verb)
	}
	return whole, nil
}

// variables are those of a group.
func (s *Sink) variables(verb string, group thing) (thing, error) {
	var kind string
	if json.Unmarshal(group["type"], &kind) != nil {
		return nil, s.foreign(verb)
	}
	if kind != "Vsts" {
		return nil, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: fmt.Errorf("the group is of type %.40q: its values come from elsewhere", kind), Next: "bind that place instead, such as the key vault"}
	}
	var variables thing
	if json.Unmarshal(group["variables"], &variables) != nil {
		return nil, s.foreign(verb)
	}
	return variables, nil
}

// name is the variable's as the group writes it: letter case does not count.
func (s *Sink) name(variables thing) string {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if strings.EqualFold(name, s.c.Variable) {
			return name
		}
	}
	return s.c.Variable
}

func (s *Sink) setVariable(group thing, value string) error {
	variables, err := s.variables("write", group)
	if err != nil {
		return err
	}
	next := maps.Clone(variables)
	if next == nil {
		next = thing{}
	}
	name := s.name(variables)
	var variable thing
	if old, exists := variables[name]; exists && json.Unmarshal(old, &variable) != nil {
		return s.foreign("write")
	}
	if variable == nil {
		variable = thing{}
	}
	// What else it says stays, such as isReadOnly.
	variable["value"], variable["isSecret"] = encode(value), encode(true)
	next[name] = encode(variable)
	group["variables"] = encode(next)
	if len(group["variableGroupProjectReferences"]) < len(`[{}]`) { // a write without it is answered with a misleading 401
		name := group["name"]
		group["variableGroupProjectReferences"] = encode([]any{map[string]any{"name": name, "projectReference": map[string]string{"name": s.c.Project}}})
	}
	return nil
}

// principal are the parameters of a connection that signs in with a secret.
func (s *Sink) principal(verb string, connection thing) (thing, error) {
	var how struct {
		Scheme     string
		Parameters thing
	}
	if json.Unmarshal(connection["authorization"], &how) != nil || how.Parameters == nil {
		return nil, s.foreign(verb)
	}
	var kind string
	_ = json.Unmarshal(how.Parameters["authenticationType"], &kind) // left out in old connections
	if !strings.EqualFold(how.Scheme, "ServicePrincipal") || kind != "" && !strings.EqualFold(kind, "spnKey") {
		return nil, &sink.Error{Op: s.op(verb), Kind: sink.Invalid, Err: fmt.Errorf("the connection signs in by %.40q %.40q and holds no client secret", how.Scheme, kind), Next: "take it out of the binding"}
	}
	return how.Parameters, nil
}

func (s *Sink) setKey(connection thing, value, clientID string) error {
	parameters, err := s.principal("write", connection)
	if err != nil {
		return err
	}
	var app string
	if json.Unmarshal(parameters["serviceprincipalid"], &app) == nil && clientID != "" && !entra.SameGUID(app, clientID) {
		return &sink.Error{Op: s.op("write"), Kind: sink.Invalid, Err: errors.New("the connection signs in as another app than the binding's"), Next: "name another connection"}
	}
	var authorization thing
	if json.Unmarshal(connection["authorization"], &authorization) != nil {
		return s.foreign("write")
	}
	next := maps.Clone(parameters)
	next["serviceprincipalkey"] = encode(value)
	authorization["parameters"] = encode(next)
	connection["authorization"] = encode(authorization)
	return nil
}

func (s *Sink) op(verb string) string {
	return fmt.Sprintf("%s %s of %s/%s at Azure DevOps", verb, s.what(), s.c.Organization, s.c.Project)
}

// encode writes JSON of what came as JSON, or is made of texts.
func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic("azuredevops: " + err.Error())
	}
	return text
}
