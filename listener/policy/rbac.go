package policy

// RBAC is compiled rules. It never changes, and any number of loops may ask
// it at once.
type RBAC struct {
	log, deny, allow []compiled
	serverName       bool
}

// compiled is one Rules. Its policies stand in the order of their names, in
// which Envoy looks at them (envoy.config.rbac.v3.RBAC.policies), so that the
// same one is reported where several match.
type compiled []policy

type policy struct {
	name       string
	details    string
	conditions []condition
}

// noPolicy are the details of a refusal for want of an allow policy.
const noPolicy = "rbac_access_denied_matched_policy[none]"

// Decision is what RBAC says about a connection.
type Decision struct {
	Allowed bool
	Policy  string // that decided; "" where nothing matched
	Logged  string // the first log policy that matches; "" = none
	Details string // of a refusal, for connection_termination_details
}

// Decide says whether a connection may go on. Deny is looked at before allow.
// Of several Rules with the same action each must let the connection through,
// as if they were RBAC filters in a row.
func (r *RBAC) Decide(facts *Facts) Decision {
	f := facts.normal()
	d := Decision{Allowed: true}
	for _, rules := range r.log {
		if p := rules.first(&f, unknown); p != nil {
			d.Logged = p.name
			break
		}
	}
	for _, rules := range r.deny {
		if p := rules.first(&f, unknown); p != nil {
			return Decision{Policy: p.name, Logged: d.Logged, Details: p.details}
		}
	}
	for _, rules := range r.allow {
		p := rules.first(&f, yes)
		if p == nil {
			return Decision{Logged: d.Logged, Details: noPolicy}
		}
		if d.Policy == "" {
			d.Policy = p.name
		}
	}
	return d
}

// NeedsServerName tells whether a policy asks for the server name, so that
// the connection must be inspected before Decide.
func (r *RBAC) NeedsServerName() bool { return r.serverName }

// first is the first policy whose answer is at least as sure as least, or nil.
func (c compiled) first(f *Facts, least answer) *policy {
	for i := range c {
		if a, _ := c[i].answer(f); a >= least {
			return &c[i]
		}
	}
	return nil
}

// answer tells whether all conditions hold, and which one is to blame if not.
func (p *policy) answer(f *Facts) (answer, *condition) {
	total, because := yes, (*condition)(nil)
	for i := range p.conditions {
		c := &p.conditions[i]
		switch c.answer(f) {
		case no:
			return no, c
		case unknown:
			total, because = unknown, c
		}
	}
	return total, because
}
