package entralab

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of Microsoft's documentation. 25 KB is taken as 25 times 1024.
const (
	maxSecretBytes = 25 * 1024
	maxContentType = 255 // characters
	maxTags        = 15
	maxTagText     = 512 // characters, of a name or a value
	maxVaultPage   = 25

	maxUnixTime = 253402300799 // the end of the year 9999
)

// secretBody is what set and update send. Null means the same as leaving out
// (unverified).
type secretBody struct {
	ContentType *string           `json:"contentType"`
	Attributes  *attributesBody   `json:"attributes"`
	Tags        map[string]string `json:"tags"`
}

// attributesBody also has what only the service sets: clients that read
// attributes send them back, and it counts for nothing (unverified).
type attributesBody struct {
	Enabled         *bool   `json:"enabled"`
	NotBefore       *int64  `json:"nbf"`
	Expires         *int64  `json:"exp"`
	Created         *int64  `json:"created"`
	Updated         *int64  `json:"updated"`
	RecoveryLevel   *string `json:"recoveryLevel"`
	RecoverableDays *int64  `json:"recoverableDays"`
}

// read decodes the body. The texts of these refusals are unverified.
func (c *vaultCall) read(into any) *vaultError {
	if kind, _, err := mime.ParseMediaType(c.request.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &vaultError{status: http.StatusUnsupportedMediaType, code: "UnsupportedMediaType", message: "The content type must be application/json."}
	}
	if err := decodeStrictly(c.body, into); err != nil {
		return badParameter("The request body is not valid: " + err.Error())
	}
	return nil
}

// apply changes a version as a body says, or refuses and changes nothing.
func (b secretBody) apply(v *secretVersion) *vaultError {
	changed := *v
	if b.ContentType != nil {
		changed.contentType = b.ContentType
	}
	if b.Tags != nil {
		changed.tags = b.Tags
	}
	if a := b.Attributes; a != nil {
		if a.Enabled != nil {
			changed.enabled = *a.Enabled
		}
		if a.NotBefore != nil {
			changed.notBefore = a.NotBefore
		}
		if a.Expires != nil {
			changed.expires = a.Expires
		}
	}
	if refused := changed.check(); refused != nil {
		return refused
	}
	*v = changed
	return nil
}

// check applies the limits. The texts are unverified.
func (v *secretVersion) check() *vaultError {
	if v.contentType != nil && utf8.RuneCountInString(*v.contentType) > maxContentType {
		return badParameter("The content type has more than " + strconv.Itoa(maxContentType) + " characters.")
	}
	if len(v.tags) > maxTags {
		return badParameter("There are more than " + strconv.Itoa(maxTags) + " tags.")
	}
	for name, text := range v.tags {
		if name == "" || utf8.RuneCountInString(name) > maxTagText || utf8.RuneCountInString(text) > maxTagText {
			return badParameter("A tag's name must have 1 to " + strconv.Itoa(maxTagText) + " characters, its value up to " + strconv.Itoa(maxTagText) + ".")
		}
	}
	for _, date := range []*int64{v.notBefore, v.expires} {
		if date != nil && (*date < 0 || *date > maxUnixTime) {
			return badParameter("nbf and exp must be Unix seconds up to the year 9999.")
		}
	}
	if v.notBefore != nil && v.expires != nil && *v.notBefore > *v.expires {
		return badParameter("nbf must not be after exp.")
	}
	return nil
}

// setSecret makes a new version, and the secret if there is none.
func (c *vaultCall) setSecret(name, _ string) (any, *vaultError) {
	var sent struct {
		Value *string `json:"value"`
		secretBody
	}
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	if sent.Value == nil {
		return nil, badParameter("The property value is required.")
	}
	s, v, refused := c.lab.setVaultSecret(c.vault, name, *sent.Value, sent.secretBody, c.now)
	if refused != nil {
		return nil, refused
	}
	c.wrote("set-secret", s, v)
	c.event.Digest = v.digest
	return c.bundle(s, v, true), nil
}

// setVaultSecret appends a version. Call with l.mu held.
func (l *Lab) setVaultSecret(in *vault, name, value string, body secretBody, now time.Time) (*vaultSecret, *secretVersion, *vaultError) {
	if len(value) > maxSecretBytes {
		return nil, nil, badParameter("The value has more than " + strconv.Itoa(maxSecretBytes) + " bytes.")
	}
	key := strings.ToLower(name)
	if refused := in.taken(key, now); refused != nil {
		return nil, nil, refused
	}
	var id [16]byte
	l.random.read(id[:])
	v := &secretVersion{
		id: hex.EncodeToString(id[:]), value: newSecretText(value), digest: l.Digest(value), enabled: true,
		created: now, updated: now, watched: in.webhook != nil,
	}
	if refused := body.apply(v); refused != nil {
		return nil, nil, refused
	}
	s := in.living(name, now)
	if s == nil {
		s = &vaultSecret{name: name}
		in.secrets[key] = s
	}
	s.versions = append(s.versions, v)
	l.announce(in, s, v, eventNewVersion, now)
	return s, v, nil
}

// SetVaultSecret writes a value into a vault as a person in the portal would,
// and returns the id of the new version.
func (l *Lab) SetVaultSecret(vault, secret, value string) (version string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	version, e, err := l.setSecretByHand(vault, secret, value)
	return version, l.noted(e, err)
}

// setSecretByHand is [Lab.SetVaultSecret] with l.mu held.
func (l *Lab) setSecretByHand(vault, secret, value string) (string, Event, error) {
	in, err := l.vaultNamed(vault)
	if err != nil {
		return "", Event{}, fmt.Errorf("set secret: %w", err)
	}
	if !validSecretName(secret) {
		return "", Event{}, fmt.Errorf("set secret: %q is not 1 to 127 letters, digits and dashes", secret)
	}
	s, v, refused := l.setVaultSecret(in, secret, value, secretBody{}, l.clock.now())
	if refused != nil {
		return "", Event{}, fmt.Errorf("set secret: %s", refused.message)
	}
	e := vaultEvent(in, "set-secret")
	e.Secret, e.Version, e.Digest = s.name, v.id, v.digest
	return v.id, e, nil
}

// taken reports why a name cannot be written. The texts on deletion are
// recorded, the one on recovery is unverified.
func (v *vault) taken(key string, now time.Time) *vaultError {
	s := v.secrets[key]
	switch {
	case s == nil || s.is(secretPurged, now) || s.is(secretLives, now):
		return nil
	case s.is(secretDeleted, now):
		return conflict("ObjectIsDeletedButRecoverable", "Secret "+s.name+" is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.")
	case s.stateAt(now) == secretLives:
		return conflict("ObjectIsBeingRecovered", "Secret "+s.name+" is currently being recovered and cannot be re-created; retry later.")
	}
	return conflict("ObjectIsBeingDeleted", "Secret "+s.name+" is currently being deleted and cannot be re-created; retry later.")
}

// living finds a secret that is not deleted.
func (v *vault) living(name string, now time.Time) *vaultSecret {
	if s := v.secrets[strings.ToLower(name)]; s != nil && s.is(secretLives, now) {
		return s
	}
	return nil
}

// find finds a version, the newest if none is named: the newest even where it
// is disabled.
func (c *vaultCall) find(name, version string) (*vaultSecret, *secretVersion, *vaultError) {
	s := c.vault.living(name, c.now)
	if s == nil {
		return nil, nil, secretNotFound(strings.TrimSuffix(name+"/"+version, "/"))
	}
	v := s.latest()
	if version != "" {
		if v = s.version(version); v == nil {
			return nil, nil, secretNotFound(name + "/" + version)
		}
	}
	c.event.Secret, c.event.Version = s.name, v.id
	return s, v, nil
}

// getSecret looks at nothing but enabled: nbf and exp are for information
// (Microsoft documentation).
func (c *vaultCall) getSecret(name, version string) (any, *vaultError) {
	s, v, refused := c.find(name, version)
	if refused != nil {
		return nil, refused
	}
	if !v.enabled {
		return nil, forbidden("SecretDisabled", "Operation get is not allowed on a disabled secret.")
	}
	return c.bundle(s, v, true), nil
}

// updateSecret changes all but the value, and does not show it.
func (c *vaultCall) updateSecret(name, version string) (any, *vaultError) {
	s, v, refused := c.find(name, version)
	if refused != nil {
		return nil, refused
	}
	var sent secretBody
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	expired := v.expires
	if refused := sent.apply(v); refused != nil {
		return nil, refused
	}
	v.updated = c.now
	if expired != nil && *expired != *v.expires { // unverified: a new date is announced anew
		v.saidNear, v.saidOver = false, false
	}
	c.lab.events.wake()
	c.wrote("update-secret", s, v)
	return c.bundle(s, v, false), nil
}

// wrote notes in the history what a request changed.
func (c *vaultCall) wrote(kind string, s *vaultSecret, v *secretVersion) {
	c.event.Secret, c.event.Version, c.event.Write = s.name, v.id, &Write{Kind: kind}
}

// bundle is a version on the wire.
func (c *vaultCall) bundle(s *vaultSecret, v *secretVersion, withValue bool) object {
	var o object
	if withValue {
		o = append(o, member{"value", v.value.Reveal()})
	}
	return append(o, c.properties(v, c.base+"/secrets/"+s.name+"/"+v.id)...)
}

// properties are those of a version without its value.
func (c *vaultCall) properties(v *secretVersion, id string) object {
	var o object
	if v.contentType != nil {
		o = append(o, member{"contentType", *v.contentType})
	}
	attributes := object{{"enabled", v.enabled}}
	if v.notBefore != nil {
		attributes = append(attributes, member{"nbf", *v.notBefore})
	}
	if v.expires != nil {
		attributes = append(attributes, member{"exp", *v.expires})
	}
	level, days := c.vault.recovery()
	attributes = append(attributes, member{"created", v.created.Unix()}, member{"updated", v.updated.Unix()},
		member{"recoveryLevel", level}, member{"recoverableDays", days})
	o = append(o, member{"id", id}, member{"attributes", attributes})
	if v.tags != nil {
		o = append(o, member{"tags", v.tags})
	}
	return o
}

// listSecrets shows each secret once, with the attributes of its newest
// version and an id without one.
func (c *vaultCall) listSecrets(string, string) (any, *vaultError) {
	var keys []string
	for key, s := range c.vault.secrets {
		if s.is(secretLives, c.now) {
			keys = append(keys, key)
		}
	}
	return c.page(keys, "secrets", func(key string) object {
		s := c.vault.secrets[key]
		return c.properties(s.latest(), c.base+"/secrets/"+s.name)
	})
}

// listVersions comes in the order of the ids, which is none: the real service
// promises no order either.
func (c *vaultCall) listVersions(name, _ string) (any, *vaultError) {
	s, _, refused := c.find(name, "")
	if refused != nil {
		return nil, refused
	}
	c.event.Version = ""
	versions := map[string]*secretVersion{}
	for _, v := range s.versions {
		versions[v.id] = v
	}
	return c.page(slices.Collect(maps.Keys(versions)), "secrets/"+s.name+"/versions", func(id string) object {
		return c.properties(versions[id], c.base+"/secrets/"+s.name+"/"+id)
	})
}

// vaultPagePrefix is in every page token, so that a foreign one is told apart.
const vaultPagePrefix = "lab-vault-page:"

// page answers one page of a list: what follows the key that the last page
// ended with, so that nothing is shown twice or left out while others write.
// The refusals are unverified.
func (c *vaultCall) page(keys []string, path string, item func(key string) object) (any, *vaultError) {
	size := c.lab.shapes.page(maxVaultPage)
	if text := c.query.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxVaultPage {
			return nil, badParameter("maxresults must be a number from 1 to " + strconv.Itoa(maxVaultPage) + ".")
		}
		size = n
	}
	slices.Sort(keys)
	if token := c.query.Get("$skiptoken"); token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		last, ok := strings.CutPrefix(string(text), vaultPagePrefix)
		if err != nil || !ok {
			return nil, badParameter("The skip token is not valid.")
		}
		i, found := slices.BinarySearch(keys, last)
		if found {
			i++
		}
		keys = keys[i:]
	}
	var next any
	if len(keys) > size {
		keys = keys[:size]
		token := base64.RawURLEncoding.EncodeToString([]byte(vaultPagePrefix + keys[size-1]))
		next = c.base + "/" + path + "?api-version=" + url.QueryEscape(c.query.Get("api-version")) + "&$skiptoken=" + token + "&maxresults=" + strconv.Itoa(size)
	}
	items := make([]object, 0, len(keys))
	for _, key := range keys {
		items = append(items, item(key))
	}
	return object{{"value", items}, {"nextLink", next}}, nil
}
