package cluster

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/outlier"
)

// member is an endpoint for as long as the cluster has it, and after that until
// its last connection ends. Connections hold on to it; views come and go.
type member struct {
	id      int32
	key     string           // what it is known by: its address, or the name of a logical_dns cluster
	monitor *outlier.Monitor // nil without outlier detection

	// Under the cluster's lock.
	spec      *config.Endpoint  // what the configuration says of it
	place     int32             // of its locality, for balance.Member
	addresses []netip.AddrPort  // where it is; more than one only with logical_dns
	others    *[]netip.AddrPort // addresses, if there are several
	since     time.Time         // when it became available, for slow start

	flags atomic.Uint32 // of the type flag; changed under the cluster's lock
	doom  atomic.Uint32 // a Doom

	*counts
}

// counts are those of an endpoint's connections. They outlive the member while
// connections are open: an endpoint that comes back still serves those.
type counts struct {
	active   atomic.Int64
	total    atomic.Uint64
	failures atomic.Uint64
}

// flag is one thing that is known of an endpoint's health.
type flag uint32

const (
	failedActiveCheck flag = 1 << iota
	failedOutlier
	failedStatus // health_status of the configuration
	degradedActiveCheck
	degradedStatus
	pendingActiveCheck // not checked yet
)

// unavailable are the flags that keep connections away.
const unavailable = failedActiveCheck | failedOutlier | failedStatus

// String is how Envoy's /clusters writes them; empty = healthy.
func (f flag) String() string {
	var b strings.Builder
	for i, name := range []string{"failed_active_hc", "failed_outlier_check", "failed_eds_health",
		"degraded_active_hc", "degraded_eds_health", "pending_active_hc"} {
		if f&(1<<i) != 0 {
			b.WriteString("/" + name)
		}
	}
	return b.String()
}

func (m *member) health() flag { return flag(m.flags.Load()) }

// set changes one flag and says whether that was news. It needs the cluster's
// lock.
func (m *member) set(f flag, on bool) bool {
	before := m.health()
	after := before &^ f
	if on {
		after |= f
	}
	m.flags.Store(uint32(after))
	return after != before
}

// describe takes over what the configuration says, and where DNS says that it
// is. It needs the cluster's lock.
func (m *member) describe(f *found, addresses []netip.AddrPort) {
	m.spec, m.place, m.addresses, m.others = f.spec, f.place, addresses, nil
	if len(addresses) > 1 {
		several := addresses
		m.others = &several
	}
	status := f.spec.HealthStatus
	m.set(failedStatus, status == config.HealthUnhealthy || status == config.HealthDraining || status == config.HealthTimeout)
	m.set(degradedStatus, status == config.HealthDegraded)
}
