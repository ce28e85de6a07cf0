package policy

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// TestFromConfigLosesNothing gives each field of the model a value of its own
// and wants to find it in the field of the same name: a condition that gets
// lost lets in whom its author wanted out.
func TestFromConfigLosesNothing(t *testing.T) {
	from := config.RBACPolicy{}
	fields := reflect.ValueOf(&from).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i).Addr().Interface().(type) {
		case *string:
			*f = "name"
		case *bool:
			*f = true
		case *[]netip.Prefix:
			*f = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)}
		case *[]uint16:
			*f = []uint16{uint16(i), uint16(i) + 100}
		case *[]string:
			*f = []string{string(rune('a'+i)) + ".example"}
		default:
			t.Fatalf("%s is of a type that the test does not know", fields.Type().Field(i).Name)
		}
	}
	chain := &config.FilterChain{RBAC: []config.RBAC{{Action: config.RBACDeny, Policies: []config.RBACPolicy{from}}, {Action: config.RBACLog}}}
	rules := FromConfig(chain)
	if len(rules) != 2 || rules[0].Action != Deny || rules[1].Action != Log || len(rules[0].Policies) != 1 || rules[1].Policies != nil {
		t.Fatalf("rules are %+v", rules)
	}
	to := reflect.ValueOf(rules[0].Policies[0])
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		want := fields.Field(i).Interface()
		if ports, ok := want.([]uint16); ok {
			want = []PortRange{Port(ports[0]), Port(ports[1])}
		}
		if got := to.FieldByName(name); !got.IsValid() || !reflect.DeepEqual(got.Interface(), want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
