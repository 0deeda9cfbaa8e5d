package entralab

import "time"

// passwordCredential is a secret as Graph shows it. The value is there only in
// the answer to addPassword.
func passwordCredential(c credential, value any) object {
	return object{
		{"customKeyIdentifier", nil},
		{"displayName", nullable(c.displayName)},
		{"endDateTime", c.end.String()},
		{"hint", c.hint.String()},
		{"keyId", c.keyID.String()},
		{"secretText", value},
		{"startDateTime", c.start.String()},
	}
}

func passwordCredentials(h secretHolder) []object {
	values := []object{}
	for _, c := range h.set().secrets {
		values = append(values, passwordCredential(c, nil))
	}
	return values
}

// appendPasswords writes what passwordCredentials returns.
func appendPasswords(b []byte, secrets []credential) []byte {
	b = append(b, '[')
	for i := range secrets {
		c := &secrets[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"customKeyIdentifier":null,"displayName":`...)
		if c.displayName == "" {
			b = append(b, "null"...)
		} else {
			b = appendText(b, c.displayName)
		}
		b = c.end.appendJSON(append(b, `,"endDateTime":`...))
		b = append(b, `,"hint":`...)
		b = appendText(b, c.hint.String())
		b = c.keyID.appendJSON(append(b, `,"keyId":`...))
		b = c.start.appendJSON(append(b, `,"secretText":null,"startDateTime":`...))
		b = append(b, '}')
	}
	return append(b, ']')
}

func (c *graphCall) addPassword() (any, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, refused
	}
	return c.addPasswordTo(a, secretLimit(a.audience))
}

func (c *graphCall) addPrincipalPassword() (any, *graphError) {
	p, refused := c.ownPrincipal()
	if refused != nil {
		return nil, refused
	}
	return c.addPasswordTo(p, secretLimit(audienceTenant))
}

func (c *graphCall) addPasswordTo(h secretHolder, limit int) (any, *graphError) {
	spec, refused := c.passwordSpec()
	if refused != nil {
		return nil, refused
	}
	if f := conditionOf(c.request, "F25"); f != nil && f.rule.params.number("limit") <= len(h.set().secrets) {
		f.use()
		return nil, errTooManyValues
	}
	if len(h.set().secrets) >= limit {
		return nil, errTooManyValues
	}
	if refused := h.refuseByPolicy(spec, c.callerPrincipal()); refused != nil {
		return nil, refused
	}
	if f := conditionOf(c.request, "F24"); f != nil {
		if refused := f.restrict(&spec); refused != nil {
			return nil, refused
		}
	}
	if f := conditionOf(c.request, "F16"); f != nil {
		f.use()
		spec.Value = unusualValue(f.kind(), f.rule.params.number("length"))
	}
	secret := c.lab.mint(h, c.actor(), spec)
	if f := conditionOf(c.request, "F1"); f != nil {
		f.use()
		made := &h.set().secrets[len(h.set().secrets)-1]
		late := *made.spread // every secret that an app mints has one
		late.accept = lag{f.between(), f.rule.params.number("replicas")}
		made.spread = &late
	}
	c.wrote("mint", secret.KeyID)
	return mintedPassword(c.context("microsoft.graph.passwordCredential"), h, secret), nil
}

// mintedPassword is the one answer that holds a value. The secret is the
// holder's newest.
func mintedPassword(context member, h secretHolder, secret Secret) object {
	made := h.set().secrets[len(h.set().secrets)-1]
	return append(object{context}, passwordCredential(made, secret.Value.Reveal())...)
}

// passwordSpec reads the body of addPassword, all of whose members are
// optional. A value of one's own cannot be sent (Microsoft documentation).
func (c *graphCall) passwordSpec() (SecretSpec, *graphError) {
	var body struct {
		PasswordCredential struct {
			Type                string `json:"@odata.type"`
			DisplayName         string
			StartDateTime       time.Time
			EndDateTime         time.Time
			KeyID               *string // may be sent as null, like the next three
			Hint                *string
			SecretText          *string
			CustomKeyIdentifier *string
		}
	}
	if refused := c.read(&body); refused != nil {
		return SecretSpec{}, refused
	}
	sent := body.PasswordCredential
	if sent.KeyID != nil || sent.Hint != nil || sent.SecretText != nil || sent.CustomKeyIdentifier != nil {
		return SecretSpec{}, badRequest("Request_BadRequest", "Only displayName, startDateTime and endDateTime of a passwordCredential can be set.")
	}
	spec := SecretSpec{DisplayName: sent.DisplayName, Start: sent.StartDateTime, End: sent.EndDateTime}.withDefaults(c.now)
	if err := spec.check(c.now); err != nil {
		return SecretSpec{}, badRequest("Request_BadRequest", "Invalid passwordCredential: "+err.Error()+".")
	}
	if !spec.End.After(c.now) { // unlike the control origin; recalled
		return SecretSpec{}, badRequest("Request_BadRequest", "Invalid value specified for property 'endDateTime' of resource 'PasswordCredential'.")
	}
	return spec, nil
}

func (c *graphCall) removePassword() (any, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, refused
	}
	return c.removePasswordFrom(a)
}

func (c *graphCall) removePrincipalPassword() (any, *graphError) {
	p, refused := c.ownPrincipal()
	if refused != nil {
		return nil, refused
	}
	return c.removePasswordFrom(p)
}

func (c *graphCall) removePasswordFrom(h secretHolder) (any, *graphError) {
	var body struct{ KeyID string }
	if refused := c.read(&body); refused != nil {
		return nil, refused
	}
	keyID, ok := parseGUID(body.KeyID)
	if !ok || !c.lab.removeSecret(h, c.actor(), keyID, c.removalLag()) {
		return nil, badRequest("Request_BadRequest", "No password credential found with keyId '"+body.KeyID+"'.") // text recorded
	}
	c.wrote("remove", keyID.String())
	return nil, nil
}

// removalLag is the delay in force, or the one of a fault.
func (c *graphCall) removalLag() lag {
	if f := conditionOf(c.request, "F2"); f != nil {
		f.use()
		return lag{f.between(), f.rule.params.number("replicas")}
	}
	return c.lab.delay.removal()
}

// restrict refuses a secret as a policy would, or shortens it without a word.
func (c *faultCall) restrict(spec *SecretSpec) *graphError {
	if c.kind() == "refuse" {
		c.use()
		return badRequest("CredentialTypeNotAllowedAsPerAppPolicy", "Credential type not allowed as per assigned policy '"+c.guid().String()+"'.")
	}
	if end := spec.Start.Add(c.rule.params.duration("lifetime")); end.Before(spec.End) && end.After(spec.Start) {
		c.use()
		spec.End = end
	}
	return nil
}
