package policy

import "fmt"

// Explain tells in plain words, policy by policy and in the order of Decide,
// how a decision comes about; the last line is the decision. It is for people
// and allocates.
func (r *RBAC) Explain(facts *Facts) []string {
	f := facts.normal()
	var lines []string
	tell := func(action Action, rules []compiled) {
		for _, policies := range rules {
			for i := range policies {
				lines = append(lines, policies[i].explain(action, &f))
			}
			if action == Allow && len(policies) == 0 {
				lines = append(lines, "rbac allow: has no policy, so it refuses everything")
			}
		}
	}
	tell(Log, r.log)
	tell(Deny, r.deny)
	tell(Allow, r.allow)
	return append(lines, r.Decide(facts).String())
}

func (p *policy) explain(action Action, f *Facts) string {
	a, because := p.answer(f)
	text := fmt.Sprintf("rbac %s policy %q: ", action, p.name)
	switch {
	case a == yes:
		return text + "matches"
	case a == no:
		return text + "does not match, because of " + because.field
	case action == Allow:
		return text + "does not match, because what " + because.field + " asks is not known"
	}
	return text + "matches, because what " + because.field + " asks is not known"
}

// String is the decision in words.
func (d Decision) String() string {
	switch {
	case d.Allowed && d.Policy == "":
		return "rbac: allowed, nothing refuses it"
	case d.Allowed:
		return fmt.Sprintf("rbac: allowed by policy %q", d.Policy)
	case d.Policy == "":
		return "rbac: denied, no allow policy matches"
	}
	return fmt.Sprintf("rbac: denied by policy %q", d.Policy)
}
