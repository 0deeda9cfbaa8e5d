package entralab

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// A backup is sealed under a key of the lab's own, as the real one can be read
// by nobody but the service. Another lab cannot restore it.

// maxBackupVersions is Microsoft's documentation.
const maxBackupVersions = 500

// backup is what is sealed.
type backup struct {
	Tenant   string
	Name     string
	Versions []backupVersion
}

type backupVersion struct {
	ID, Value        string
	ContentType      *string
	Enabled          bool
	NotBefore        *int64
	Expires          *int64
	Created, Updated time.Time
	Tags             map[string]string
}

func newSealer(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("entralab: sealer: " + err.Error()) // only another length of key fails
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("entralab: sealer: " + err.Error())
	}
	return aead
}

// backupSecret answers with all versions. The refusals are unverified; the one
// for size is the lab's own, which takes no larger body back.
func (c *vaultCall) backupSecret(name, _ string) (any, *vaultError) {
	s, v, refused := c.find(name, "")
	if refused != nil {
		return nil, refused
	}
	if len(s.versions) > maxBackupVersions {
		return nil, badParameter("Secret " + s.name + " has more than " + strconv.Itoa(maxBackupVersions) + " versions and cannot be backed up.")
	}
	b := backup{Tenant: c.vault.tenant.id.String(), Name: s.name}
	for _, v := range s.versions {
		b.Versions = append(b.Versions, backupVersion{
			ID: v.id, Value: v.value.Reveal(), ContentType: v.contentType, Enabled: v.enabled,
			NotBefore: v.notBefore, Expires: v.expires, Created: v.created, Updated: v.updated, Tags: v.tags,
		})
	}
	sealed := base64.RawURLEncoding.EncodeToString(c.lab.sealer.Seal(nil, nil, encodeJSON(b), nil))
	if len(sealed) > maxBody-1024 {
		return nil, badParameter("The backup of secret " + s.name + " is larger than 1 MiB.")
	}
	c.event.Version = v.id
	return object{{"value", sealed}}, nil
}

// restoreSecret takes a backup of any vault of the same tenant, which stands
// for subscription and geography here. The texts are unverified.
func (c *vaultCall) restoreSecret(string, string) (any, *vaultError) {
	var sent struct {
		Value string `json:"value"`
	}
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	var b backup
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(sent.Value, "="))
	if err == nil {
		sealed, err = c.lab.sealer.Open(nil, nil, sealed, nil)
	}
	if err != nil {
		return nil, badParameter("The backup is not valid.")
	}
	if err := json.Unmarshal(sealed, &b); err != nil {
		panic("entralab: the lab sealed what it cannot read")
	}
	if b.Tenant != c.vault.tenant.id.String() {
		return nil, badParameter("The backup is of a vault in another subscription.")
	}
	key := strings.ToLower(b.Name)
	if refused := c.vault.taken(key, c.now); refused != nil {
		return nil, refused
	}
	if c.vault.living(b.Name, c.now) != nil {
		return nil, conflict("", "There is a secret "+b.Name+" already; a backup cannot be restored over it.")
	}
	s := &vaultSecret{name: b.Name}
	for _, v := range b.Versions {
		s.versions = append(s.versions, &secretVersion{
			id: v.ID, value: newSecretText(v.Value), digest: c.lab.Digest(v.Value), contentType: v.ContentType, enabled: v.Enabled,
			notBefore: v.NotBefore, expires: v.Expires, created: v.Created, updated: v.Updated, tags: v.Tags,
		})
	}
	c.vault.secrets[key] = s
	c.wrote("restore-secret", s, s.latest())
	c.event.Digest = s.latest().digest
	return c.bundle(s, s.latest(), false), nil
}
