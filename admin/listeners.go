package admin

import (
	"net/http"
	"net/netip"
	"strings"
)

// jsonAddress is Envoy's core.v3.Address.
type jsonAddress struct {
	SocketAddress jsonSocketAddress `json:"socket_address"`
}

type jsonSocketAddress struct {
	Address   string `json:"address"`
	PortValue uint16 `json:"port_value"`
}

func addressJSON(a netip.AddrPort) jsonAddress {
	return jsonAddress{jsonSocketAddress{Address: a.Addr().String(), PortValue: a.Port()}}
}

type jsonListener struct {
	Name         string      `json:"name"`
	LocalAddress jsonAddress `json:"local_address"`
}

// listeners is Envoy's ListenersHandler::handlerListenerInfo.
func (a *api) listeners(w http.ResponseWriter, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	infos := a.Listeners()
	if asJSON {
		statuses := make([]jsonListener, len(infos))
		for i, l := range infos {
			statuses[i] = jsonListener{l.Name, addressJSON(l.Address)}
		}
		writeJSON(w, map[string]any{"listener_statuses": statuses})
		return
	}
	var b strings.Builder
	for _, l := range infos {
		b.WriteString(l.Name + "::" + l.Address.String() + "\n")
	}
	writeText(w, b.String())
}
