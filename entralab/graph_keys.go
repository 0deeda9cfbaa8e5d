package entralab

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// keyRoutes roll the keys of an app. An app needs no permission to roll its own
// (Microsoft documentation): the handlers check.
var keyRoutes = []graphRoute{
	{"POST", "applications/{}/addKey", nil, 200, (*graphCall).addApplicationKey},
	{"POST", "applications/{}/removeKey", nil, 204, (*graphCall).removeApplicationKey},
	{"POST", "servicePrincipals/{}/addKey", nil, 200, (*graphCall).addPrincipalKey},
	{"POST", "servicePrincipals/{}/removeKey", nil, 204, (*graphCall).removePrincipalKey},
}

// keysProperty is the collection of keys, which a PATCH replaces. The bytes of
// a key are shown only to who selects the property (Microsoft documentation).
func keysProperty[T any](kept func(T) *map[string]json.RawMessage) property[T] {
	show := func(it T, withKey bool) any {
		keys := []keyCredential{}
		if sent, ok := (*kept(it))[keyCredentialsName]; ok {
			json.Unmarshal(sent, &keys) // our own JSON
		}
		for i := range keys {
			if !withKey {
				keys[i].Key = nil
			}
		}
		return keys
	}
	return property[T]{
		name:  keyCredentialsName,
		get:   func(it T) any { return show(it, false) },
		named: func(it T) any { return show(it, true) },
		write: func(b []byte, it T) []byte {
			if _, ok := (*kept(it))[keyCredentialsName]; !ok {
				return append(b, "[]"...)
			}
			return appendJSON(b, show(it, false))
		},
		set: func(it T, v json.RawMessage) bool {
			var sent, before []keyCredential
			m := kept(it)
			json.Unmarshal((*m)[keyCredentialsName], &before)
			if !decode(v, &sent) {
				return false
			}
			seen := map[string]bool{}
			for i := range sent {
				if !sent[i].complete(before) || seen[sent[i].KeyID] && sent[i].KeyID != "" {
					return false
				}
				seen[sent[i].KeyID] = true
			}
			setKeys(m, sent)
			return true
		},
	}
}

func setKeys(kept *map[string]json.RawMessage, keys []keyCredential) {
	*kept = maps.Clone(*kept)
	if *kept == nil {
		*kept = map[string]json.RawMessage{}
	}
	(*kept)[keyCredentialsName] = encodeJSON(append([]keyCredential{}, keys...))
}

// complete checks a key that was sent and fills in what its certificate says.
// One that is there already may be sent back without its bytes (recalled). The
// key id may be missing: see nameKeys.
func (k *keyCredential) complete(before []keyCredential) bool {
	if k.KeyID != "" {
		id, ok := parseGUID(k.KeyID)
		if !ok {
			return false
		}
		k.KeyID = id.String()
	}
	if len(k.Key) == 0 {
		i := slices.IndexFunc(before, func(old keyCredential) bool { return k.KeyID != "" && old.KeyID == k.KeyID })
		if i < 0 {
			return false
		}
		*k = before[i]
		return true
	}
	switch k.Type + "/" + k.Usage {
	case "AsymmetricX509Cert/Verify", "AsymmetricX509Cert/Encrypt":
	case "X509CertAndPassword/Sign", "Symmetric/Verify", "Symmetric/Sign":
		return k.StartDateTime != nil && k.EndDateTime != nil && k.StartDateTime.Before(*k.EndDateTime)
	default:
		return false
	}
	parsed, err := x509.ParseCertificate(k.Key)
	if err != nil {
		return false
	}
	sum := sha1.Sum(parsed.Raw)
	k.CustomKeyIdentifier = new(strings.ToUpper(hex.EncodeToString(sum[:])))
	if k.DisplayName == nil {
		k.DisplayName = new(parsed.Subject.String())
	}
	if k.StartDateTime == nil {
		k.StartDateTime = new(parsed.NotBefore.UTC())
	}
	if k.EndDateTime == nil {
		k.EndDateTime = new(parsed.NotAfter.UTC())
	}
	// A key is not good for longer than its certificate (text and rule recalled).
	return k.StartDateTime.Before(*k.EndDateTime) && !k.EndDateTime.After(parsed.NotAfter) && len(*k.DisplayName) <= maxName
}

// nameKeys gives ids to the keys that were sent without.
func (l *Lab) nameKeys(kept *map[string]json.RawMessage) {
	var keys []keyCredential
	if json.Unmarshal((*kept)[keyCredentialsName], &keys) != nil {
		return
	}
	for i := range keys {
		if keys[i].KeyID == "" {
			keys[i].KeyID = l.random.guid().String()
		}
	}
	setKeys(kept, keys)
}

// keyHolder is what addKey and removeKey work on.
type keyHolder struct {
	id    guid
	app   *application // whose keys prove possession
	kept  *map[string]json.RawMessage
	audit func(before, after []keyCredential)
}

func (c *graphCall) keysOfApplication() (keyHolder, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return keyHolder{}, refused
	}
	if !c.mayRoll(a, a.owners) {
		return keyHolder{}, errDenied
	}
	return keyHolder{a.id, a, &a.kept, func(before, after []keyCredential) {
		c.lab.auditApp(a, c.actor(), c.now, auditSecretsOfApp, keyChanges(a.set(), before, after))
	}}, nil
}

func (c *graphCall) keysOfPrincipal() (keyHolder, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return keyHolder{}, refused
	}
	if p.app == nil || !c.mayRoll(p.app, p.owners) {
		return keyHolder{}, errDenied
	}
	return keyHolder{p.id, p.app, &p.kept, func(before, after []keyCredential) {
		what := auditRemoveKeys
		if len(after) > len(before) {
			what = auditAddKeys
		}
		c.lab.auditPrincipal(p, c.actor(), c.now, what, keyChanges(p.set(), before, after))
	}}, nil
}

// mayRoll: an app may roll its own keys; others need a permission.
func (c *graphCall) mayRoll(a *application, owners []guid) bool {
	if strings.EqualFold(c.caller.ClientID, a.clientID.String()) {
		return true
	}
	return slices.ContainsFunc(c.caller.Roles, func(role string) bool { return slices.Contains(writesApplication, role) }) && c.mayWrite(owners)
}

// keyChanges is the audit log's account of a change: the whole set, secrets
// included, before and after.
func keyChanges(set *credentialSet, before, after []keyCredential) []change {
	describe := func(keys []keyCredential) string {
		var texts []string
		json.Unmarshal([]byte(keyDescription(set.history().log)), &texts) // our own JSON
		for _, k := range keys {
			name := ""
			if k.DisplayName != nil {
				name = *k.DisplayName
			}
			texts = append(texts, "[KeyIdentifier="+k.KeyID+",KeyType="+k.Type+",KeyUsage="+k.Usage+",DisplayName="+name+"]")
		}
		return string(encodeJSON(append([]string{}, texts...)))
	}
	return []change{{"KeyDescription", describe(before), describe(after)}, includes("KeyDescription")}
}

// keys are those that the holder has.
func (h keyHolder) keys() []keyCredential {
	var keys []keyCredential
	json.Unmarshal((*h.kept)[keyCredentialsName], &keys) // nothing kept is no key
	return keys
}

func (c *graphCall) addApplicationKey() (any, *graphError) {
	h, refused := c.keysOfApplication()
	if refused != nil {
		return nil, refused
	}
	return c.addKey(h)
}

func (c *graphCall) addPrincipalKey() (any, *graphError) {
	h, refused := c.keysOfPrincipal()
	if refused != nil {
		return nil, refused
	}
	return c.addKey(h)
}

func (c *graphCall) addKey(h keyHolder) (any, *graphError) {
	var body struct {
		KeyCredential *struct {
			ODataType string `json:"@odata.type"`
			keyCredential
		} `json:"keyCredential"`
		PasswordCredential *struct{} `json:"passwordCredential"`
		Proof              string    `json:"proof"`
	}
	if refused := c.read(&body); refused != nil {
		return nil, refused
	}
	if refused := c.checkProof(h, body.Proof); refused != nil {
		return nil, refused
	}
	if body.PasswordCredential != nil || body.KeyCredential == nil || body.KeyCredential.Type != "AsymmetricX509Cert" { // keys with a password are a limit of the lab
		return nil, badRequest("Request_BadRequest", "Only a keyCredential of type AsymmetricX509Cert, without a passwordCredential, can be added here.")
	}
	key := body.KeyCredential.keyCredential
	if len(key.Key) == 0 || key.KeyID != "" || !key.complete(nil) { // text recalled
		return nil, badRequest("Request_BadRequest", "Invalid value specified for property 'keyCredential' of resource 'KeyCredential'.")
	}
	key.KeyID = c.lab.random.guid().String()
	before := h.keys()
	after := append(slices.Clone(before), key)
	setKeys(h.kept, after)
	h.audit(before, after)
	c.wrote("add-key", key.KeyID)
	key.Key = nil
	return append(object{c.context("microsoft.graph.keyCredential")}, key.object()...), nil
}

// object is a key as an answer of its own.
func (k keyCredential) object() object {
	return object{
		{"customKeyIdentifier", k.CustomKeyIdentifier}, {"displayName", k.DisplayName}, {"endDateTime", k.EndDateTime}, {"key", nil},
		{"keyId", k.KeyID}, {"startDateTime", k.StartDateTime}, {"type", k.Type}, {"usage", k.Usage},
	}
}

func (c *graphCall) removeApplicationKey() (any, *graphError) {
	h, refused := c.keysOfApplication()
	if refused != nil {
		return nil, refused
	}
	return c.removeKey(h)
}

func (c *graphCall) removePrincipalKey() (any, *graphError) {
	h, refused := c.keysOfPrincipal()
	if refused != nil {
		return nil, refused
	}
	return c.removeKey(h)
}

func (c *graphCall) removeKey(h keyHolder) (any, *graphError) {
	var body struct {
		KeyID string `json:"keyId"`
		Proof string `json:"proof"`
	}
	if refused := c.read(&body); refused != nil {
		return nil, refused
	}
	if refused := c.checkProof(h, body.Proof); refused != nil {
		return nil, refused
	}
	before := h.keys()
	i := slices.IndexFunc(before, func(k keyCredential) bool { return strings.EqualFold(k.KeyID, body.KeyID) })
	if i < 0 { // recalled
		return nil, badRequest("Request_BadRequest", "No key credential found with keyId '"+clip(body.KeyID)+"'.")
	}
	after := slices.Delete(slices.Clone(before), i, i+1)
	setKeys(h.kept, after)
	h.audit(before, after)
	c.wrote("remove-key", before[i].KeyID)
	return nil, nil
}

const (
	proofAudience = "00000002-0000-0000-c000-000000000000"
	proofLifetime = 10 * time.Minute
)

// errProof is seen for every fault of a proof; that its status is 401 is
// recalled.
var errProof = &graphError{http.StatusUnauthorized, "Authentication_MissingOrMalformed", "Access Token missing or malformed."}

// checkProof checks that the caller has the private half of a key that is in
// force: a JWT of at most ten minutes, signed with it (Microsoft
// documentation; that a longer one is refused is assumed).
func (c *graphCall) checkProof(h keyHolder, text string) *graphError {
	proof, ok := takeApart(text)
	if !ok || !proof.claims.Expires.set || !proof.claims.NotBefore.set {
		return errProof
	}
	issuer, _ := parseGUID(proof.claims.Issuer)
	starts, expires := proof.claims.NotBefore.at(), proof.claims.Expires.at()
	if issuer != h.id || !slices.Equal(proof.claims.Audience, audience{proofAudience}) || expires.Sub(starts) > proofLifetime || proof.checkTime(c.now) != nil {
		return errProof
	}
	for _, key := range h.app.certificates() {
		if !c.now.Before(key.start) && c.now.Before(key.end) && proof.signedBy(key.public) {
			return nil
		}
	}
	return errProof
}
