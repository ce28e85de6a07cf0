package healthcheck

import (
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// Options of a Checker. Its functions are called on the checker's thread: they
// must not block.
type Options struct {
	// Event hears of each change of an endpoint's health and of first failures;
	// nil: nobody does.
	Event func(Event)

	// OnPanic hears of a panic in one check, which is given up; the others go
	// on. nil: it ends the process.
	OnPanic func(value any, stack []byte)
}

// GroupOptions are what the checks of one cluster need of it. The functions are
// called on the checker's thread: they must not block.
type GroupOptions struct {
	// Dial begins a connection to address as traffic's are made (same source,
	// mark) and returns without waiting. The descriptor is the group's then.
	Dial func(address netip.AddrPort) (fd int, err error)

	// Knock is Dial for checks that only want to know whether a connection can be
	// made; it may leave its last packet out (sock.DialOptions.DelayAck), so
	// that the application is not disturbed. nil: Dial.
	Knock func(address netip.AddrPort) (fd int, err error)

	// HostFault says that an error of Dial, or the sock.Errno that a connect
	// ended with, is this host's fault: such a check says nothing about the
	// endpoint. nil: none is.
	HostFault func(err error) bool

	// Preamble appends what is sent first on each new connection, from local to
	// remote, such as a PROXY header; nil: nothing is.
	Preamble func(dst []byte, local, remote netip.AddrPort) []byte

	// HasTraffic says whether the cluster ever had a connection; until then
	// no_traffic_interval counts. nil: it had.
	HasTraffic func() bool

	// Changed hears of each change of an endpoint's state, the first result
	// included; reason is empty unless it is Unhealthy. It may be called once
	// more for an endpoint that Set has removed a moment ago.
	Changed func(id int32, state State, reason string)

	// Passed hears of each check that an endpoint passes while it is Healthy or
	// Degraded.
	Passed func(id int32)

	// Skipped hears of a fault of this host that keeps checks from running, once
	// until all run again.
	Skipped func(err error)
}

// Target is an endpoint to be checked.
type Target struct {
	ID      int32 // unique in the group
	Address netip.AddrPort
	Host    string // for the Host header and :authority, where the check names none; "" = the cluster's name, or Address where that is no name of a host
}

// EventType is what an Event tells, by Envoy's names (data.core.v3.HealthCheckEvent).
type EventType string

// EventFailure is the first result of an endpoint, and bad. EventEject and EventAdd are
// the steps between unhealthy and healthy.
const (
	EventFailure          EventType = "health_check_failure"
	EventEject            EventType = "eject_unhealthy"
	EventAdd              EventType = "add_healthy"
	EventDegraded         EventType = "degraded_healthy_host"
	EventNoLongerDegraded EventType = "no_longer_degraded_host"
)

// Event is one line of the event log.
type Event struct {
	Time       time.Time
	Cluster    string
	Address    netip.AddrPort // of the endpoint, whatever port was checked
	Check      config.HealthCheckType
	Type       EventType
	Failure    Failure // of EventFailure and EventEject
	Reason     string  // empty for good news
	FirstCheck bool
}
