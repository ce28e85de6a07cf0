package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// validHTTP is a check with nothing wrong.
func validHTTP() HealthCheck {
	h := DefaultHealthCheck()
	h.Type = HealthCheckHTTP
	return h
}

func TestValidateHealthChecks(t *testing.T) {
	type spoilCase struct {
		name  string
		spoil func(*HealthCheck)
		want  string // key: start of the message; empty for nothing wrong
	}
	tcp := func(change func(*TCPHealthCheck)) func(*HealthCheck) {
		return func(h *HealthCheck) { h.Type = HealthCheckTCP; change(&h.TCP) }
	}
	for _, tc := range []spoilCase{
		{"nothing", func(*HealthCheck) {}, ""},
		{"tcp", tcp(func(c *TCPHealthCheck) { c.Send, c.Receive, c.ExpectReaction = "50", []string{"5A", "00ff"}, true }), ""},
		{"grpc", func(h *HealthCheck) { h.Type, h.GRPC.ServiceName = HealthCheckGRPC, "a.B" }, ""},
		{"ranges", func(h *HealthCheck) { h.HTTP.ExpectedStatuses = []string{"100-599", "204"} }, ""},
		{"port", func(h *HealthCheck) { h.Port = 15021 }, ""},
		{"header", func(h *HealthCheck) { h.HTTP.Headers = []HTTPHeader{{"X-A", "b c\t"}} }, ""},

		{"type", func(h *HealthCheck) { h.Type = "redis" }, `.type: must be one of tcp, http, grpc, not "redis"`},
		{"no interval", func(h *HealthCheck) { h.Interval = 0 }, ".interval: must be at least 10ms, not 0s"},
		{"interval without a unit", func(h *HealthCheck) { h.Interval = 5 }, ".interval: must be at least 10ms, not 5ns"},
		{"no-traffic interval", func(h *HealthCheck) { h.NoTrafficInterval = 0 }, ".no_traffic_interval: must be at least"},
		{"unhealthy interval", func(h *HealthCheck) { h.UnhealthyInterval = -time.Second }, ".unhealthy_interval: must be at least"},
		{"unhealthy edge", func(h *HealthCheck) { h.UnhealthyEdgeInterval = 1 }, ".unhealthy_edge_interval: must be at least"},
		{"healthy edge", func(h *HealthCheck) { h.HealthyEdgeInterval = 1 }, ".healthy_edge_interval: must be at least"},
		{"timeout", func(h *HealthCheck) { h.Timeout = 0 }, ".timeout: must be at least 1ms, not 0s"},
		{"jitter", func(h *HealthCheck) { h.IntervalJitter = -1 }, ".interval_jitter: must not be negative"},
		{"initial jitter", func(h *HealthCheck) { h.InitialJitter = -1 }, ".initial_jitter: must not be negative"},
		{"unhealthy threshold", func(h *HealthCheck) { h.UnhealthyThreshold = 0 }, ".unhealthy_threshold: must be at least 1"},
		{"healthy threshold", func(h *HealthCheck) { h.HealthyThreshold = 0 }, ".healthy_threshold: must be at least 1"},

		{"send", tcp(func(c *TCPHealthCheck) { c.Send = "PING" }), `.tcp.send: "PING" is not hex`},
		{"half a byte", tcp(func(c *TCPHealthCheck) { c.Receive = []string{"50", "5"} }), `.tcp.receive[1]: "5" is not hex`},
		{"empty block", tcp(func(c *TCPHealthCheck) { c.Receive = []string{""} }), ".tcp.receive[0]: must not be empty"},
		{"long payload", tcp(func(c *TCPHealthCheck) { c.Send = strings.Repeat("50", 5000) }), ".tcp.send: must not be longer than 4096 bytes"},
		{"tcp keys of http", func(h *HealthCheck) { h.TCP.Send = "50" }, ".tcp: works with type tcp only, not with http"},
		{"grpc keys of http", func(h *HealthCheck) { h.GRPC.ServiceName = "a" }, ".grpc.service_name: works with type grpc only"},
		{"service name", func(h *HealthCheck) { h.Type, h.GRPC.ServiceName = HealthCheckGRPC, "a\n" }, ".grpc.service_name: must not contain control"},

		{"path", func(h *HealthCheck) { h.HTTP.Path = "healthz" }, ".http.path: must begin with /"},
		{"space in path", func(h *HealthCheck) { h.HTTP.Path = "/a b" }, ".http.path: must begin with / and have no spaces (%20)"},
		{"line in path", func(h *HealthCheck) { h.HTTP.Path = "/a\r\nX:y" }, ".http.path: must not contain control"},
		{"long path", func(h *HealthCheck) { h.HTTP.Path = "/" + strings.Repeat("a", 5000) }, ".http.path: must not be longer"},
		{"host", func(h *HealthCheck) { h.HTTP.Host = "a b" }, ".http.host: must have no spaces"},
		{"method", func(h *HealthCheck) { h.HTTP.Method = "GE T" }, ".http.method: must be an HTTP method"},
		{"CONNECT", func(h *HealthCheck) { h.HTTP.Method = "CONNECT" }, ".http.method: must be an HTTP method other than CONNECT"},
		{"no statuses", func(h *HealthCheck) { h.HTTP.ExpectedStatuses = nil }, ".http.expected_statuses: must name at least one"},
		{"status 99", func(h *HealthCheck) { h.HTTP.ExpectedStatuses = []string{"99"} }, `.http.expected_statuses[0]: "99" is neither`},
		{"status 600", func(h *HealthCheck) { h.HTTP.ExpectedStatuses = []string{"200", "200-600"} }, `.http.expected_statuses[1]: "200-600" is neither`},
		{"backwards", func(h *HealthCheck) { h.HTTP.ExpectedStatuses = []string{"299-200"} }, `.http.expected_statuses[0]: "299-200" is neither`},
		{"2xx", func(h *HealthCheck) { h.HTTP.ExpectedStatuses = []string{"2xx"} }, `.http.expected_statuses[0]: "2xx" is neither`},
		{"half a range", func(h *HealthCheck) { h.HTTP.ExpectedStatuses = []string{"200-"} }, `.http.expected_statuses[0]: "200-" is neither`},
		{"header name", func(h *HealthCheck) { h.HTTP.Headers = []HTTPHeader{{"a:b", ""}} }, ".http.headers[0].name: must be the name"},
		{"header value", func(h *HealthCheck) { h.HTTP.Headers = []HTTPHeader{{"a", "b\r\nc: d"}} }, ".http.headers[0].value: must not contain control"},
		{"Host header", func(h *HealthCheck) { h.HTTP.Headers = []HTTPHeader{{"HOST", "a"}} }, ".http.headers[0].name: must not be Host: give http.host"},
		{"Content-Length", func(h *HealthCheck) { h.HTTP.Headers = []HTTPHeader{{"Content-Length", "5"}} }, ".http.headers[0].name: must not be Content-Length"},
		{"many headers", func(h *HealthCheck) { h.HTTP.Headers = slices.Repeat([]HTTPHeader{{"a", "b"}}, 33) }, ".http.headers: must not be more than 32"},
	} {
		cfg := valid()
		h := validHTTP()
		tc.spoil(&h)
		cfg.Clusters[0].HealthChecks = []HealthCheck{h}
		checkProblem(t, tc.name, Validate(cfg), "clusters[0].health_checks[0]", tc.want)
	}
}

// checkProblem wants one problem whose text begins so, or none.
func checkProblem(t *testing.T, name string, got Problems, path, want string) {
	t.Helper()
	if want == "" {
		if len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
		return
	}
	if len(got) != 1 || !strings.HasPrefix(got[0].Path+": "+got[0].Message, path+want) {
		t.Errorf("%s: %v, want %s%s", name, got, path, want)
	}
}

func TestHealthChecksOfOriginalDst(t *testing.T) {
	cfg := valid()
	cfg.Clusters[1].HealthChecks = []HealthCheck{validHTTP()}
	checkProblem(t, "original_dst", Validate(cfg), "clusters[1].health_checks", ": must be left out with type original_dst")
}

func TestValidateAppHealth(t *testing.T) {
	type spoilCase struct {
		name  string
		spoil func(*Config)
		want  string
	}
	for _, tc := range []spoilCase{
		{"nothing", func(*Config) {}, ""},
		{"another address", func(c *Config) { c.AppHealth.Ports[0].Address = netip.MustParseAddrPort("10.0.0.1:80") }, ""},
		{"no port", func(c *Config) { c.AppHealth.Ports[1].Port = 0 }, ".ports[1].port: is required"},
		{"twice", func(c *Config) { c.AppHealth.Ports[1].Port = 8080 }, ".ports[1].port: 8080 is already app_health.ports[0]"},
		{"bad check", func(c *Config) { c.AppHealth.Ports[0].Check.Timeout = 0 }, ".ports[0].check.timeout: must be"},
		{"bad default", func(c *Config) { c.AppHealth.Check.Timeout = 0 }, ".check.timeout: must be"},
		{"bad default that is not used", func(c *Config) { c.AppHealth.Learn, c.AppHealth.Check.Timeout = false, 0 }, ""},
		{"multicast", func(c *Config) { c.AppHealth.Ports[0].Address = netip.MustParseAddrPort("224.0.0.1:80") }, ".ports[0].address: must be an address"},
		{"address and port", func(c *Config) {
			c.AppHealth.Ports[0].Address, c.AppHealth.Ports[0].Check.Port = netip.MustParseAddrPort("10.0.0.1:80"), 81
		}, ".ports[0].check.port: cannot be given together"},
		{"readiness off", func(c *Config) { c.Readiness.Address = "" }, ": is answered at readiness.address, which is off"},
	} {
		cfg := valid()
		check := DefaultAppHealthCheck()
		cfg.AppHealth = AppHealth{Learn: true, Check: check, Ports: []AppHealthPort{{Port: 8080, Check: check}, {Port: 8081, Check: validHTTP()}}}
		tc.spoil(cfg)
		checkProblem(t, tc.name, Validate(cfg), "app_health", tc.want)
	}
}

// learnCase is an inbound chain to a port 9080 and what can be learned of it.
type learnCase struct {
	name    string
	change  func(*Config)
	want    []uint16
	address string // of the last one
	probed  uint16 // its check's port
}

func TestAppHealthPorts(t *testing.T) {
	dst := func(c *Config) { c.Listeners[0].FilterChains[0].TCPProxy.Cluster = "dst" }
	for _, tc := range []learnCase{
		{"static with one endpoint", func(*Config) {}, []uint16{7000, 9080}, "10.0.0.1:80", 0},
		{"original_dst", dst, []uint16{7000, 9080}, "", 0},
		{"original_dst with another port", func(c *Config) { dst(c); c.Clusters[1].UpstreamPortOverride = 8080 }, []uint16{7000, 9080}, "", 8080},
		{"listed", func(c *Config) { c.AppHealth.Ports[0].Port = 9080 }, []uint16{9080}, "", 0},
		{"not asked for", func(c *Config) { c.AppHealth.Learn = false }, []uint16{7000}, "", 0},
		{"outbound", func(c *Config) { c.Listeners[0].Direction = Outbound }, []uint16{7000}, "", 0},
		{"any port", func(c *Config) { c.Listeners[0].FilterChains[0].Match.DestinationPort = 0 }, []uint16{7000}, "", 0},
		{"several endpoints", func(c *Config) { c.Clusters[0].Endpoints = make([]Endpoint, 2) }, []uint16{7000}, "", 0},
		{"no such cluster", func(c *Config) { c.Listeners[0].FilterChains[0].TCPProxy.Cluster = "x" }, []uint16{7000}, "", 0},
	} {
		cfg := valid()
		cfg.Listeners[0].Direction = Inbound
		cfg.Listeners[0].FilterChains[0].Match.DestinationPort = 9080
		cfg.AppHealth.Learn, cfg.AppHealth.Ports = true, []AppHealthPort{{Port: 7000}}
		tc.change(cfg)
		ports := AppHealthPorts(cfg)
		var got []uint16
		for _, p := range ports {
			got = append(got, p.Port)
		}
		last := ports[len(ports)-1]
		address := ""
		if last.Address.IsValid() {
			address = last.Address.String()
		}
		if !slices.Equal(got, tc.want) || address != tc.address || last.Check.Port != tc.probed {
			t.Errorf("%s: ports %v, the last at %q, its check at %d", tc.name, got, address, last.Check.Port)
		}
	}
}
