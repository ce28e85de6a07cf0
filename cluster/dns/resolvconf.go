package dns

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const dnsPort = 53

// The bounds on what a resolv.conf may ask for. resolv.conf(5) has those of
// ndots, timeout and attempts; the others keep a lookup finite.
const (
	maxNdots    = 15
	maxTimeout  = 30
	maxAttempts = 5
	maxServers  = 16
	maxSearch   = 32
)

// resolvConf is what a resolv.conf says (resolv.conf(5)), defaults included.
type resolvConf struct {
	servers  []netip.AddrPort
	search   []string // without dots at the ends
	ndots    int
	timeout  time.Duration // for one answer of one server
	attempts int           // rounds through the servers
	rotate   bool          // each query begins with the next server
	useTCP   bool          // use-vc
}

// parseResolvConf takes what it understands; the rest is other programs'.
func parseResolvConf(text string) resolvConf {
	c := resolvConf{ndots: 1, timeout: 5 * time.Second, attempts: 2}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if server, ok := parseServer(fields[1]); ok && len(c.servers) < maxServers {
				c.servers = append(c.servers, server)
			}
		case "domain":
			c.search = searchList(fields[1:2])
		case "search":
			c.search = searchList(fields[1:])
		case "options":
			for _, option := range fields[1:] {
				c.set(option)
			}
		}
	}
	if len(c.servers) == 0 {
		// As resolv.conf(5) has it: the name server of this host.
		c.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
	return c
}

// parseServer takes an address, and as c-ares one with a port.
func parseServer(text string) (netip.AddrPort, bool) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr, dnsPort), true
	}
	server, err := netip.ParseAddrPort(text)
	return server, err == nil && server.Port() != 0
}

func searchList(domains []string) []string {
	var list []string
	for _, domain := range domains {
		if checkName(domain) == nil && len(list) < maxSearch {
			list = append(list, strings.TrimSuffix(domain, "."))
		}
	}
	return list
}

func (c *resolvConf) set(option string) {
	name, value, _ := strings.Cut(option, ":")
	number, err := strconv.Atoi(value)
	switch {
	case name == "rotate":
		c.rotate = true
	case name == "use-vc":
		c.useTCP = true
	case err != nil:
	case name == "ndots":
		c.ndots = min(max(number, 0), maxNdots)
	case name == "timeout":
		c.timeout = time.Duration(min(max(number, 1), maxTimeout)) * time.Second
	case name == "attempts":
		c.attempts = min(max(number, 1), maxAttempts)
	}
}

// candidates are the absolute names to ask for, in order: a name with a dot at
// its end is absolute; one with ndots dots or more is tried as it is before
// the search domains, another one after them.
func (c *resolvConf) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	absolute := name + "."
	var names []string
	for _, domain := range c.search {
		if full := absolute + domain; len(full) <= maxName {
			names = append(names, full+".")
		}
	}
	if strings.Count(name, ".") >= c.ndots {
		return append([]string{absolute}, names...)
	}
	return append(names, absolute)
}
