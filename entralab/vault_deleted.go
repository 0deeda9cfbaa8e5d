package entralab

import (
	"strings"
	"time"
)

// deleteSecret deletes all versions: a single one cannot be deleted.
func (c *vaultCall) deleteSecret(name, _ string) (any, *vaultError) {
	s, v, refused := c.find(name, "")
	if refused != nil {
		return nil, refused
	}
	s.state, s.deleted = secretDeleted, c.now
	s.purge = c.now.Add(c.vault.retention)
	s.settled = c.now.Add(c.lab.vaultDelay.Delete)
	c.wrote("delete-secret", s, v)
	return c.deletedBundle(s, c.base+"/secrets/"+s.name+"/"+v.id), nil
}

// findDeleted finds a secret that can be recovered.
func (c *vaultCall) findDeleted(name string) (*vaultSecret, *vaultError) {
	s := c.vault.secrets[strings.ToLower(name)]
	if s == nil || !s.is(secretDeleted, c.now) {
		return nil, deletedNotFound(name)
	}
	c.event.Secret = s.name
	return s, nil
}

// deletedBundle is a deleted secret on the wire, without the value (recorded).
func (c *vaultCall) deletedBundle(s *vaultSecret, id string) object {
	o := object{
		{"recoveryId", c.base + "/deletedsecrets/" + s.name}, {"deletedDate", s.deleted.Unix()}, {"scheduledPurgeDate", s.purge.Unix()},
	}
	return append(o, c.properties(s.latest(), id)...)
}

func (c *vaultCall) getDeleted(name, _ string) (any, *vaultError) {
	s, refused := c.findDeleted(name)
	if refused != nil {
		return nil, refused
	}
	return c.deletedBundle(s, c.base+"/secrets/"+s.name+"/"+s.latest().id), nil
}

func (c *vaultCall) listDeleted(string, string) (any, *vaultError) {
	var keys []string
	for key, s := range c.vault.secrets {
		if s.is(secretDeleted, c.now) {
			keys = append(keys, key)
		}
	}
	return c.page(keys, "deletedsecrets", func(key string) object {
		s := c.vault.secrets[key]
		return c.deletedBundle(s, c.base+"/secrets/"+s.name)
	})
}

// recoverSecret brings back all versions.
func (c *vaultCall) recoverSecret(name, _ string) (any, *vaultError) {
	s, refused := c.findDeleted(name)
	if refused != nil {
		return nil, refused
	}
	s.state, s.deleted, s.purge = secretLives, time.Time{}, time.Time{}
	s.settled = c.now.Add(c.lab.vaultDelay.Delete)
	c.lab.events.wake()
	c.wrote("recover-secret", s, s.latest())
	return c.bundle(s, s.latest(), false), nil
}

func (c *vaultCall) purgeSecret(name, _ string) (any, *vaultError) {
	s, refused := c.findDeleted(name)
	if refused != nil {
		return nil, refused
	}
	if c.vault.purgeProtection { // reported 2022-05, the inner code is unverified
		return nil, forbidden("ForbiddenByPurgeProtection", `Operation "purge" is not allowed because purge protection is enabled for this vault. `+
			"Key Vault service will automatically purge it after the retention period has passed.\r\nVault: "+c.place())
	}
	s.state = secretPurged
	s.settled = c.now.Add(c.lab.vaultDelay.Delete)
	c.wrote("purge-secret", s, s.latest())
	s.versions = s.versions[len(s.versions)-1:] // the values are gone
	s.latest().value = SecretText{}
	return nil, nil
}
