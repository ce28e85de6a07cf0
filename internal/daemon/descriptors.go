package daemon

import "github.com/sluiceproxy/sluice/internal/sock"

// ownDescriptors are kept from connections, for the admin API, metrics, probes
// and log files. A small limit gives an eighth.
const ownDescriptors = 64

// connectionDescriptors is how many descriptors connections may use, and 0 when
// the process's limit is not known.
func connectionDescriptors() int {
	limit := sock.DescriptorLimit()
	return limit - min(ownDescriptors, limit/8)
}
