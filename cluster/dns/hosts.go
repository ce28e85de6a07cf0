package dns

import (
	"net/netip"
	"slices"
	"strings"
)

// hosts is a hosts file (hosts(5)): addresses by folded name.
type hosts map[string][]netip.Addr

func parseHosts(text string) hosts {
	h := make(hosts)
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, ok := literal(fields[0])
		if !ok {
			continue
		}
		for _, name := range fields[1:] {
			name = fold(name)
			if len(h[name]) < maxAddrs && !slices.Contains(h[name], addr) {
				h[name] = append(h[name], addr)
			}
		}
	}
	return h
}

// sections are the addresses of a name by family, in the file's order.
func (h hosts) sections(folded string) (v4, v6 section) {
	for _, addr := range h[folded] {
		if addr.Is4() {
			v4.addrs = append(v4.addrs, addr)
		} else {
			v6.addrs = append(v6.addrs, addr)
		}
	}
	return v4, v6
}
