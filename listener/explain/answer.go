package explain

import "github.com/sluiceproxy/sluice/config"

// Verdict is what becomes of a connection.
type Verdict string

// The verdicts. A connection that is closed is reset.
const (
	Forward Verdict = "forward"
	Close   Verdict = "close"
)

// Inspected is how far the listener filters came.
type Inspected string

// The ends of an inspection. NeedMore: the payload is too short to tell, and
// the rest of the answer is for a client that sends no more before the timeout.
const (
	Done     Inspected = "done"
	NeedMore Inspected = "need_more"
	TimedOut Inspected = "timeout"
	Failed   Inspected = "error"
)

// Answer is where a connection goes, and why.
type Answer struct {
	Listener         string     `json:"listener"` // after the hand-over
	Verdict          Verdict    `json:"verdict"`
	FilterChain      string     `json:"filter_chain"` // "" = none takes it
	Cluster          string     `json:"cluster"`      // weighted ones separated by commas
	WeightedClusters []Share    `json:"weighted_clusters,omitempty"`
	Detected         Detected   `json:"detected"`
	ResponseFlags    string     `json:"response_flags"` // as in the access log; "" = none
	Reason           string     `json:"reason"`         // of a close: the access log's close_reason, a colon, and words
	Steps            []Step     `json:"steps"`
	Endpoints        []Endpoint `json:"endpoints"`
}

// Detected are the facts that decided.
type Detected struct {
	TransportProtocol    config.TransportProtocol `json:"transport_protocol"` // "" = nobody looked
	ServerName           string                   `json:"server_name"`
	ApplicationProtocols []string                 `json:"application_protocols"`
	Source               string                   `json:"source"`
	Destination          string                   `json:"destination"`
	DirectSource         string                   `json:"direct_source"`
	ProxyProtocol        string                   `json:"proxy_protocol"` // v1, v2; "" = there was no header
	Inspection           Inspected                `json:"inspection"`
	PayloadOffset        int                      `json:"payload_offset"` // where the payload begins behind the PROXY header
}

// Share is a cluster's part of a chain's connections.
type Share struct {
	Name    string  `json:"name"`
	Percent float64 `json:"percent"`
}

// Endpoint is an address that the connection may go to. Percent is of the
// chain's connections, to two decimals.
type Endpoint struct {
	Address  string  `json:"address"`
	Percent  float64 `json:"percent"`
	Health   string  `json:"health"`
	Priority uint32  `json:"priority"`

	cluster string
}

// Step is one thing that was decided on the way.
type Step struct {
	Text     string
	Excluded []string // filter chains that it excludes
}

// MarshalText is the step on one line.
func (s Step) MarshalText() ([]byte, error) {
	text := s.Text
	if len(s.Excluded) > 0 {
		text += "; excluded: " + few(s.Excluded)
	}
	return []byte(text), nil
}
