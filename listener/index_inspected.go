package listener

import (
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// serverNames finds the most specific name: the whole one, then its suffixes
// from the longest on, each from a dot on. As in Envoy, names and suffixes are
// keys of one map, "*.example.com" as ".example.com", and the suffixes of a
// name begin neither with its first byte nor with its last.
type serverNames struct {
	to       texts // by lower-case key
	any      ref   // for other names, and for none
	longest  int32 // bytes of the longest key
	wildcard int32 // bytes of the longest key that begins with a dot
}

// maxServerName is what the configuration allows; a longer one is never found.
const maxServerName = 255

// find costs no more for a long name than for one as long as the longest key,
// whatever a client sends.
func (t *serverNames) find(name string) ref {
	if name == "" {
		return t.any
	}
	var buffer [maxServerName]byte
	skipped := max(0, len(name)-int(t.longest))
	tail := buffer[:copy(buffer[:], name[skipped:])]
	for i, c := range tail {
		if 'A' <= c && c <= 'Z' {
			tail[i] = c + 'a' - 'A'
		}
	}
	if skipped == 0 {
		if to, ok := t.to.getBytes(tail); ok {
			return to
		}
	}
	for i := max(0, len(tail)-int(t.wildcard)); i < len(tail)-1; i++ {
		if tail[i] == '.' {
			if to, ok := t.to.getBytes(tail[i:]); ok {
				return to
			}
		}
	}
	return t.any
}

// nameKey is a server name as a key: a wildcard without its asterisk.
type nameKey string

// String is the name as the user wrote it.
func (k nameKey) String() string {
	if strings.HasPrefix(string(k), ".") {
		return "*" + string(k)
	}
	return string(k)
}

// nameKeys are the keys of the names that a chain lists.
func nameKeys(m *config.Match) []nameKey {
	keys := make([]nameKey, len(m.ServerNames))
	for i, name := range m.ServerNames {
		if strings.HasPrefix(name, "*.") {
			name = name[1:]
		}
		keys[i] = nameKey(name)
	}
	return keys
}

func (b *builder) serverNames(chains []int32) ref {
	var t serverNames
	var ways branches
	t.any = eachListed(b, serverName, chains, nameKeys, func(key nameKey, to ref) {
		if len(key) > maxServerName {
			return
		}
		t.to.add(b.blocks.key(string(key)), to)
		ways.add(to)
		t.longest = max(t.longest, int32(len(key)))
		if strings.HasPrefix(string(key), ".") {
			t.wildcard = max(t.wildcard, int32(len(key)))
		}
	})
	ways.add(t.any)
	t.to.few = b.blocks.few(t.to.few)
	b.index.serverNames = append(b.index.serverNames, t)
	b.index.ways[0] = append(b.index.ways[0], ways)
	return ref{serverName, ways.asks | asksServerName, int32(len(b.index.serverNames) - 1)}
}

// transports splits TLS from what is not TLS.
type transports struct {
	tls, raw, any ref // any: it is not known which
}

func (t *transports) find(p config.TransportProtocol) ref {
	switch p {
	case config.TransportTLS:
		return t.tls
	case config.TransportRawBuffer:
		return t.raw
	}
	return t.any
}

// transports lets chains without the criterion take each protocol that no
// other chain names.
func (b *builder) transports(chains []int32) ref {
	var t transports
	var ways branches
	var tls, raw *ref
	t.any = eachListed(b, transportProtocol, chains, transportProtocols, func(p config.TransportProtocol, to ref) {
		switch p {
		case config.TransportTLS:
			tls = &to
		case config.TransportRawBuffer:
			raw = &to
		}
	})
	t.tls, t.raw = t.any, t.any
	if tls != nil {
		t.tls = *tls
	}
	if raw != nil {
		t.raw = *raw
	}
	for _, to := range []ref{t.tls, t.raw, t.any} {
		ways.add(to)
	}
	b.index.transports = append(b.index.transports, t)
	b.index.ways[transportProtocol-serverName] = append(b.index.ways[transportProtocol-serverName], ways)
	return ref{transportProtocol, ways.asks | asksTransportProtocol, int32(len(b.index.transports) - 1)}
}

func transportProtocols(m *config.Match) []config.TransportProtocol {
	if m.TransportProtocol == "" {
		return nil
	}
	return []config.TransportProtocol{m.TransportProtocol}
}

// protocols finds the first of the client's protocols that any chain names.
type protocols struct {
	to  texts
	any ref
}

func (t *protocols) find(offered []string) ref {
	for _, p := range offered {
		if to, ok := t.to.get(p); ok {
			return to
		}
	}
	return t.any
}

func (b *builder) protocols(chains []int32) ref {
	var t protocols
	var ways branches
	list := func(m *config.Match) []string { return m.ApplicationProtocols }
	t.any = eachListed(b, applicationProtocol, chains, list, func(p string, to ref) {
		t.to.add(b.blocks.key(p), to)
		ways.add(to)
	})
	ways.add(t.any)
	t.to.few = b.blocks.few(t.to.few)
	b.index.protocols = append(b.index.protocols, t)
	b.index.ways[applicationProtocol-serverName] = append(b.index.ways[applicationProtocol-serverName], ways)
	return ref{applicationProtocol, ways.asks | asksApplicationProtocols, int32(len(b.index.protocols) - 1)}
}
