package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// minCheckInterval keeps a forgotten unit or a slip of a digit from turning
	// checks into a flood.
	minCheckInterval = 10 * time.Millisecond
	minCheckTimeout  = time.Millisecond

	maxCheckPayload = 4 << 10 // bytes of one hex text
	maxCheckText    = 4 << 10 // bytes of a path, a header value, a name
	maxCheckHeaders = 32
)

func (v *validator) healthChecks(path string, c *Cluster) {
	if c.Type == ClusterOriginalDst && len(c.HealthChecks) > 0 {
		v.add(path+".health_checks", "must be left out with type original_dst: it has no list of endpoints to check")
		return
	}
	for i := range c.HealthChecks {
		v.healthCheck(fmt.Sprintf("%s.health_checks[%d]", path, i), &c.HealthChecks[i])
	}
}

func (v *validator) healthCheck(path string, h *HealthCheck) {
	oneOf(v, path+".type", h.Type, HealthCheckTypes())
	v.checkTimes(path, h)
	if h.UnhealthyThreshold == 0 {
		v.add(path+".unhealthy_threshold", "must be at least 1, not 0")
	}
	if h.HealthyThreshold == 0 {
		v.add(path+".healthy_threshold", "must be at least 1, not 0")
	}
	v.checkOfType(path, h)
}

func (v *validator) checkTimes(path string, h *HealthCheck) {
	v.checkInterval(path+".interval", h.Interval)
	v.checkInterval(path+".no_traffic_interval", h.NoTrafficInterval)
	if h.Timeout < minCheckTimeout {
		v.add(path+".timeout", "must be at least %v, not %v", minCheckTimeout, h.Timeout)
	}
	v.notNegative(path+".interval_jitter", h.IntervalJitter)
	v.notNegative(path+".initial_jitter", h.InitialJitter)
	type orInterval struct {
		key   string
		value time.Duration
	}
	for _, o := range []orInterval{
		{".unhealthy_interval", h.UnhealthyInterval},
		{".unhealthy_edge_interval", h.UnhealthyEdgeInterval},
		{".healthy_edge_interval", h.HealthyEdgeInterval},
	} {
		if o.value != 0 {
			v.checkInterval(path+o.key, o.value)
		}
	}
}

func (v *validator) checkInterval(path string, d time.Duration) {
	if d < minCheckInterval {
		v.add(path, "must be at least %v, not %v", minCheckInterval, d)
	}
}

// checkOfType checks the part that belongs to the type. What was given for
// another type is refused where it differs from the default: it would not be
// carried out.
func (v *validator) checkOfType(path string, h *HealthCheck) {
	const elsewhere = "works with type %s only, not with %s"
	tcp := h.TCP.Send != "" || len(h.TCP.Receive) > 0
	if h.Type == HealthCheckTCP {
		v.tcpCheck(path+".tcp", &h.TCP)
	} else if tcp {
		v.add(path+".tcp", elsewhere, HealthCheckTCP, h.Type)
	}
	if h.Type == HealthCheckHTTP {
		v.httpCheck(path+".http", &h.HTTP)
	}
	if h.Type == HealthCheckGRPC {
		v.checkText(path+".grpc.service_name", h.GRPC.ServiceName)
	} else if h.GRPC.ServiceName != "" {
		v.add(path+".grpc.service_name", elsewhere, HealthCheckGRPC, h.Type)
	}
}

func (v *validator) tcpCheck(path string, t *TCPHealthCheck) {
	v.payload(path+".send", t.Send)
	for i, block := range t.Receive {
		at := fmt.Sprintf("%s.receive[%d]", path, i)
		if block == "" {
			v.add(at, "must not be empty: leave it out")
			continue
		}
		v.payload(at, block)
	}
}

func (v *validator) payload(path, text string) {
	if _, err := ParsePayload(text); err != nil {
		v.add(path, "%v", err)
	} else if len(text) > 2*maxCheckPayload {
		v.add(path, "must not be longer than %d bytes", maxCheckPayload)
	}
}

func (v *validator) httpCheck(path string, h *HTTPHealthCheck) {
	if !strings.HasPrefix(h.Path, "/") || strings.Contains(h.Path, " ") {
		v.add(path+".path", "must begin with / and have no spaces (%%20), not %q", h.Path)
	}
	v.checkText(path+".path", h.Path)
	v.checkText(path+".host", h.Host)
	if strings.Contains(h.Host, " ") {
		v.add(path+".host", "must have no spaces, not %q", h.Host)
	}
	if !isToken(h.Method) || h.Method == "CONNECT" {
		v.add(path+".method", "must be an HTTP method other than CONNECT, such as GET or HEAD, not %q", h.Method)
	}
	if len(h.ExpectedStatuses) == 0 {
		v.add(path+".expected_statuses", "must name at least one status, such as \"200\"")
	}
	for i, text := range h.ExpectedStatuses {
		if _, err := ParseStatusRange(text); err != nil {
			v.add(fmt.Sprintf("%s.expected_statuses[%d]", path, i), "%v", err)
		}
	}
	v.checkHeaders(path+".headers", h.Headers)
}

func (v *validator) checkHeaders(path string, headers []HTTPHeader) {
	if len(headers) > maxCheckHeaders {
		v.add(path, "must not be more than %d, not %d", maxCheckHeaders, len(headers))
	}
	// They say where the request ends and how long the connection lives.
	ours := []string{"host", "connection", "content-length", "transfer-encoding", "upgrade", "expect"}
	for i, header := range headers {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch name := strings.ToLower(header.Name); {
		case !isToken(header.Name):
			v.add(at+".name", "must be the name of an HTTP header, not %q", header.Name)
		case name == "host":
			v.add(at+".name", "must not be Host: give http.host")
		case slices.Contains(ours, name):
			v.add(at+".name", "must not be %s: the check sends its own", header.Name)
		}
		v.checkText(at+".value", header.Value)
	}
}

// checkText refuses what would end a line of HTTP, or fill a check's buffer.
func (v *validator) checkText(path, text string) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		v.add(path, "must not contain control characters (%q does)", text)
	}
	if len(text) > maxCheckText {
		v.add(path, "must not be longer than %d bytes", maxCheckText)
	}
}

// isToken says whether text is a token of RFC 9110, section 5.6.2.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

func (v *validator) appHealth(cfg *Config) {
	a := &cfg.AppHealth
	if a.Learn {
		v.healthCheck("app_health.check", &a.Check)
	}
	seen := make(map[uint16]int, len(a.Ports))
	for i := range a.Ports {
		p := &a.Ports[i]
		path := fmt.Sprintf("app_health.ports[%d]", i)
		if p.Port == 0 {
			v.add(path+".port", "is required: from 1 to 65535")
		}
		if first, ok := seen[p.Port]; ok {
			v.add(path+".port", "%d is already app_health.ports[%d]: remove one", p.Port, first)
		}
		seen[p.Port] = i
		if p.Address.IsValid() {
			v.endpointAddress(path+".address", Address(p.Address), &Cluster{Type: ClusterStatic})
			if p.Check.Port != 0 {
				v.add(path+".check.port", "cannot be given together with address: leave one out")
			}
		}
		v.healthCheck(path+".check", &p.Check)
	}
	if cfg.Readiness.Address == "" && (a.Learn || len(a.Ports) > 0) {
		v.add("app_health", "is answered at readiness.address, which is off: give it an address, or leave app_health out")
	}
}
