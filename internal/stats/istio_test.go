package stats

import (
	"strings"
	"testing"
)

func TestServiceOf(t *testing.T) {
	type serviceCase struct {
		cluster string
		local   Workload
		want    service
	}
	for _, c := range []serviceCase{
		{testCluster, Workload{}, service{"ratings.default.svc.cluster.local", "ratings", "default"}},
		{"outbound|9080|v2|ratings.prod.svc.cluster.local", Workload{}, service{"ratings.prod.svc.cluster.local", "ratings", "prod"}},
		{"outbound|443||api.example.com", Workload{}, service{"api.example.com", "api.example.com", ""}},
		{"outbound|9080||ratings", Workload{}, service{"ratings", "ratings", ""}},
		{"inbound|9080||", Workload{CanonicalService: "reviews", Namespace: "default"}, service{"", "reviews", "default"}},
		{"PassthroughCluster", Workload{}, service{"", "PassthroughCluster", ""}},
	} {
		if got := serviceOf(c.cluster, c.local); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.cluster, got, c.want)
		}
	}
}

func TestIstioLabels(t *testing.T) {
	registry := NewRegistry()
	local := Workload{Name: "reviews-v1", Namespace: "default", CanonicalService: "reviews"}
	registry.Istio(IstioLabels{Reporter: ReporterDestination, Cluster: "inbound|9080||", Local: local})
	registry.Istio(IstioLabels{Reporter: ReporterSource, Cluster: testCluster, Local: local})
	inbound, outbound := map[string]string{}, map[string]string{}
	for _, s := range registry.series {
		labels := outbound
		if strings.Contains(s.name(), `reporter="destination"`) {
			labels = inbound
		}
		for _, pair := range s.labels() {
			if s.family.name == "istio_tcp_connections_opened_total" {
				labels[pair.GetName()] = pair.GetValue()
			}
		}
	}
	if len(inbound) != 23 {
		t.Errorf("%d labels, want Istio's 23: %v", len(inbound), inbound)
	}
	type labelCase struct {
		labels      map[string]string
		label, want string
	}
	for _, c := range []labelCase{
		{inbound, "source_workload", "unknown"},
		{inbound, "destination_workload", "reviews-v1"},
		{inbound, "destination_service", "unknown"},
		{inbound, "destination_service_name", "reviews"},
		{inbound, "connection_security_policy", "none"},
		{inbound, "response_flags", "-"},
		{outbound, "reporter", "source"},
		{outbound, "source_workload", "reviews-v1"},
		{outbound, "destination_workload", "unknown"},
		{outbound, "destination_service", "ratings.default.svc.cluster.local"},
		{outbound, "destination_service_name", "ratings"},
		{outbound, "destination_service_namespace", "default"},
		{outbound, "connection_security_policy", "unknown"},
		{outbound, "request_protocol", "tcp"},
	} {
		if got := c.labels[c.label]; got != c.want {
			t.Errorf("%s = %q, want %q", c.label, got, c.want)
		}
	}
}

func TestCloseByFlags(t *testing.T) {
	type closeCase struct{ flags, countedUnder string }
	for _, c := range []closeCase{
		{"-", "-"},
		{"UF,URX", "UF,URX"},
		{"DT", "DT"},
		{"SI,DT", "SI"}, // no place of its own
		{"nonsense", "-"},
	} {
		f := newFixture()
		f.istio.Close(f.shards[0], c.flags)
		var shown []string
		for _, r := range NewCollector(f.registry, f.gather).read() {
			if r.family.name == "istio_tcp_connections_closed_total" && r.value() == 1 {
				shown = append(shown, r.name())
			}
		}
		if len(shown) != 1 || !strings.Contains(shown[0], `response_flags="`+c.countedUnder+`"`) {
			t.Errorf("%s: counted under %v, want %s", c.flags, shown, c.countedUnder)
		}
	}
}

func TestRareFlagsShowOnlyWhenUsed(t *testing.T) {
	f := newFixture()
	closed := 0
	for _, r := range NewCollector(f.registry, f.gather).read() {
		if r.family.name == "istio_tcp_connections_closed_total" {
			closed++
		}
	}
	if closed != 1 {
		t.Errorf("%d series of closed connections before any closed, want the ordinary one", closed)
	}
}
