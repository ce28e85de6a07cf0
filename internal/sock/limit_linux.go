package sock

import "golang.org/x/sys/unix"

// ownDescriptors are kept from connections, for the admin API, metrics, probes
// and log files. A small limit gives an eighth.
const ownDescriptors = 64

// DescriptorLimit is how many descriptors the process may have open, and 0 when
// the kernel does not tell. The Go runtime has raised it to one below the hard limit at
// start (getrlimit(2), RLIMIT_NOFILE).
func DescriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}

// ConnectionDescriptors is how many of the process's descriptors connections may
// use, and 0 when its limit is not known. The kernel gives the lowest free number:
// a socket with this number or a higher one is one too many.
func ConnectionDescriptors() int {
	limit := DescriptorLimit()
	return limit - min(ownDescriptors, limit/8)
}

// PipeDescriptors is the same for pipes: the last quarter of what connections may
// use is for their sockets alone, since bytes move without pipes too.
func PipeDescriptors() int { return ConnectionDescriptors() / 4 * 3 }
