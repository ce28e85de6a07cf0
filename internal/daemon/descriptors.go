package daemon

import "github.com/sluiceproxy/sluice/internal/sock"

// connectionDescriptors is how many descriptors connections may use, and 0 when
// the process's limit is not known.
func connectionDescriptors() int { return sock.ConnectionDescriptors() }
