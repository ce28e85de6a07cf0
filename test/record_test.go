package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// record is a line of the access log.
type record struct {
	Type            string `json:"access_log_type"`
	ID              uint64 `json:"connection_id"`
	Listener        string `json:"listener"`
	Direction       string `json:"direction"`
	Chain           string `json:"filter_chain"`
	Remote          string `json:"downstream_remote_address"`
	DirectRemote    string `json:"downstream_direct_remote_address"`
	Local           string `json:"downstream_local_address"`
	Cluster         string `json:"upstream_cluster"`
	UpstreamHost    string `json:"upstream_host"`
	UpstreamLocal   string `json:"upstream_local_address"`
	ServerName      string `json:"requested_server_name"`
	Transport       string `json:"transport_protocol"`
	Application     string `json:"application_protocol"`
	BytesReceived   int64  `json:"bytes_received"`
	BytesSent       int64  `json:"bytes_sent"`
	ConnectAttempts int    `json:"connect_attempts"`
	Flags           string `json:"response_flags"`
	ClosedBy        string `json:"closed_by"`
	Reason          string `json:"close_reason"`
	Errno           string `json:"errno"`
	Failure         string `json:"upstream_transport_failure_reason"`
	Engine          string `json:"engine"`
	JA3             string `json:"ja3"`
	JA4             string `json:"ja4"`
	ProxyAuthority  string `json:"proxy_protocol_authority"`
	ProxyUniqueID   string `json:"proxy_protocol_unique_id"`
	Details         string `json:"connection_termination_details"`
	LogPolicy       string `json:"rbac_log_policy"`
}

// records reads the access log. A line that is still being written does not
// count.
func (s *sidecar) records() []record {
	s.w.Helper()
	text, err := os.ReadFile(s.accessLog)
	if err != nil && !os.IsNotExist(err) {
		s.w.Fatal(err)
	}
	var all []record
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.w.Fatalf("access log line %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// ended waits for the one line about the end of a client's connection. conn
// may be closed already.
func (s *sidecar) ended(conn net.Conn) record {
	s.w.Helper()
	return s.endOf(conn.LocalAddr().String(), conn.RemoteAddr().String())
}

// endOf is the same for the addresses of the client and of what it asked for, ip:port
// each. The client's alone would not do: the kernel may choose the port of an earlier
// connection to another destination again.
func (s *sidecar) endOf(remote, local string) record {
	s.w.Helper()
	var found []record
	testnet.Eventually(s.w, patience, func() error {
		found = s.filter(func(r record) bool {
			return r.Remote == remote && r.Local == local && r.Type == "TcpConnectionEnd"
		})
		if len(found) == 0 {
			return fmt.Errorf("no access log line about the connection from %s to %s", remote, local)
		}
		return nil
	})
	if len(found) > 1 {
		s.w.Errorf("%d access log lines about the connection from %s to %s: %+v", len(found), remote, local, found)
	}
	return found[0]
}

func (s *sidecar) filter(want func(record) bool) []record {
	s.w.Helper()
	var found []record
	for _, r := range s.records() {
		if want(r) {
			found = append(found, r)
		}
	}
	return found
}

// waitRecords waits for n lines of a kind, and fails when there are more.
func (s *sidecar) waitRecords(n int, want func(record) bool) []record {
	s.w.Helper()
	var found []record
	testnet.Eventually(s.w, patience, func() error {
		if found = s.filter(want); len(found) < n {
			return fmt.Errorf("%d access log lines, want %d", len(found), n)
		}
		return nil
	})
	if len(found) != n {
		s.w.Errorf("%d access log lines, want %d", len(found), n)
	}
	return found
}

// ending is how a connection ended, as the access log has it.
type ending struct{ closedBy, reason, flags string }

func (r record) ending() ending { return ending{r.ClosedBy, r.Reason, r.Flags} }

// host is the address of an ip:port without the port.
func host(address string) string {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	return ap.Addr().String()
}
