package policy

import (
	"net/netip"
	"strings"
	"testing"
)

type problemCase struct {
	name   string
	policy Policy
	path   string // below policies[0].
	want   string // part of the message
}

func TestProblemsOfPolicies(t *testing.T) {
	ten := prefixes(t, "10.0.0.0/8")
	everywhere := prefixes(t, "0.0.0.0/1", "128.0.0.0/1", "::/0")
	long := strings.Repeat("a.", 126) + "ab"
	for _, c := range []problemCase{
		{"empty", Policy{}, "any", "has no condition"},
		{"any with a condition", Policy{Any: true, NotSourceIPs: ten}, "any", "cannot stand beside not_source_ips"},
		{"zero prefix", Policy{SourceIPs: []netip.Prefix{{}}}, "source_ips", "not an address range"},
		{"zero prefix beside another", Policy{SourceIPs: []netip.Prefix{{}}, NotSourceIPs: ten}, "source_ips", "not an address range"},
		{"too wide mapped prefix", Policy{NotDirectSourceIPs: prefixes(t, "::ffff:0:0/95")}, "not_direct_source_ips", "IPv4 and other"},
		{"port 0", Policy{DestinationPorts: []PortRange{Port(0)}}, "destination_ports", "port 0"},
		{"backward range", Policy{NotDestinationPorts: []PortRange{{9, 8}}}, "not_destination_ports", "9-8 is empty"},
		{"empty name", Policy{ServerNames: []string{""}}, "server_names", `"": `},
		{"part of a label", Policy{ServerNames: []string{"*a.example"}}, "server_names", "whole labels"},
		{"star within", Policy{NotServerNames: []string{"a.*.example"}}, "not_server_names", "* only as"},
		{"two stars", Policy{ServerNames: []string{"**"}}, "server_names", "whole labels"},
		{"star and dot", Policy{ServerNames: []string{"*."}}, "server_names", "empty label"},
		{"last dot", Policy{ServerNames: []string{"a.example."}}, "server_names", "no dot at its end"},
		{"long name", Policy{ServerNames: []string{long}}, "server_names", "253"},
		{"not ASCII", Policy{ServerNames: []string{"ä.example"}}, "server_names", "xn--"},
		{"NUL", Policy{ServerNames: []string{"a\x00.example"}}, "server_names", "letters"},
		{"unknown field", Policy{Any: true, Foreign: []string{"headers"}}, "headers", "is not known"},
		{"unknown field alone", Policy{Foreign: []string{"metadata"}}, "metadata", "is not known"},
		{"identity", Policy{SourceIPs: ten, Foreign: []string{"principals"}}, "principals", "mutual TLS"},
		{"not identity", Policy{SourceIPs: ten, Foreign: []string{"not_namespaces"}}, "not_namespaces", "mutual TLS"},
		{"Envoy's identity", Policy{SourceIPs: ten, Foreign: []string{"authenticated"}}, "authenticated", "mutual TLS"},
		{"never: same", Policy{SourceIPs: ten, NotSourceIPs: ten}, "not_source_ips", "all of source_ips"},
		{"never: in pieces", Policy{SourceIPs: ten, NotSourceIPs: prefixes(t, "10.0.0.0/9", "10.128.0.0/9")}, "not_source_ips", "never matches"},
		{"never: everywhere", Policy{NotDestinationIPs: everywhere}, "not_destination_ips", "everything"},
		{"never: ports", Policy{DestinationPorts: []PortRange{{80, 81}}, NotDestinationPorts: []PortRange{Port(81), Port(80)}}, "not_destination_ports", "never"},
		{"never: all ports", Policy{NotDestinationPorts: []PortRange{{1, 65535}}}, "not_destination_ports", "everything"},
		{"never: name", Policy{ServerNames: []string{"a.b.c"}, NotServerNames: []string{"*.c"}}, "not_server_names", "never"},
		{"never: names below", Policy{ServerNames: []string{"*.b.c"}, NotServerNames: []string{"*.C"}}, "not_server_names", "never"},
		{"never: any name", Policy{ServerNames: []string{"*"}, NotServerNames: []string{"*"}}, "not_server_names", "never"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.policy.Name = "the name"
			r, problems := Compile("rbac", one(Deny, c.policy))
			if len(problems) != 1 {
				t.Fatalf("got %d problems: %v", len(problems), problems)
			}
			if p := problems[0]; p.Path != "rbac.policies[0]."+c.path || !strings.Contains(p.Message, c.want) || !strings.Contains(p.Message, `policy "the name"`) {
				t.Errorf("got %s: %s", p.Path, p.Message)
			}
			facts := someFacts()
			if r.Decide(&facts).Allowed {
				t.Error("rules with a problem let a connection through")
			}
		})
	}
}

func TestNoProblems(t *testing.T) {
	for _, c := range []problemCase{
		{name: "IPv4 only", policy: Policy{NotSourceIPs: prefixes(t, "0.0.0.0/0")}},
		{name: "not all of it", policy: Policy{SourceIPs: prefixes(t, "10.0.0.0/8"), NotSourceIPs: prefixes(t, "10.0.0.0/9")}},
		{name: "no name sent", policy: Policy{NotServerNames: []string{"*"}}},
		{name: "names, but not some", policy: Policy{ServerNames: []string{"*.c"}, NotServerNames: []string{"*.b.c", "x.c"}}},
		{name: "any name, but not some", policy: Policy{ServerNames: []string{"*"}, NotServerNames: []string{"*.c"}}},
		{name: "longest name", policy: Policy{ServerNames: []string{strings.Repeat("a.", 126) + "a"}}},
	} {
		c.policy.Name = c.name
		compile(t, Rules{Allow, []Policy{c.policy}})
	}
}

func TestProblemsOfRules(t *testing.T) {
	all := Policy{Name: "all", Any: true}
	for _, c := range []struct {
		name  string
		rules []Rules
		want  string
	}{
		{"no action", one("", all), `rbac.action: "" is none of allow, deny, log`},
		{"unknown action", one("audit", all), `rbac.action: "audit" is none of`},
		{"deny nothing", one(Deny), "rbac.policies: deny without a policy never matches"},
		{"log nothing", one(Log), "rbac.policies: log without a policy never matches"},
		{"no name", one(Allow, Policy{Any: true}), "rbac.policies[0].name: policy \"\": is needed"},
		{"same name", one(Allow, all, all), `rbac.policies[1].name: policy "all": policies[0] has the same name`},
		{"second rules", []Rules{{Allow, []Policy{all}}, {Deny, nil}}, "rbac[1].policies: deny"},
		{"second rules' policy", []Rules{{Allow, []Policy{all}}, {Deny, []Policy{{Name: "x"}}}}, "rbac[1].policies[0].any: policy \"x\":"},
	} {
		_, problems := Compile("rbac", c.rules)
		if len(problems) != 1 || !strings.HasPrefix(problems.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, problems, c.want)
		}
	}
	_, problems := Compile("rbac", one("x", Policy{Name: "a"}, Policy{DestinationPorts: []PortRange{Port(0), {2, 1}}}))
	if len(problems) != 5 {
		t.Errorf("not all problems at once: %v", problems)
	}
}
