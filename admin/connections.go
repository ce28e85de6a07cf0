package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// defaultLimit is how many connections are shown unless asked otherwise.
const defaultLimit = 1000

func (a *api) connections(w http.ResponseWriter, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	query := ConnectionQuery{Cluster: r.URL.Query().Get("cluster"), Limit: defaultLimit}
	if text := r.URL.Query().Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 {
			http.Error(w, "usage: /connections?limit=N with N from 1, not "+safeText(text), http.StatusBadRequest)
			return
		}
		query.Limit = limit
	}
	infos := a.Connections(query)
	infos = infos[:min(len(infos), query.Limit)]
	if asJSON {
		list := make([]jsonConnection, len(infos))
		for i := range infos {
			list[i] = infos[i].json()
		}
		writeJSON(w, list)
		return
	}
	writeText(w, connectionTable(infos))
}

func connectionTable(infos []ConnectionInfo) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tLISTENER\tCHAIN\tCLUSTER\tDOWNSTREAM\tORIGINAL DESTINATION\tUPSTREAM LOCAL\tENDPOINT\tRECEIVED\tSENT\tAGE\tIDLE\tENGINE")
	for i := range infos {
		c := &infos[i]
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", c.ID, dash(c.Listener), dash(c.FilterChain), dash(c.Cluster),
			addressText(c.DownstreamRemote), addressText(c.DownstreamLocal), addressText(c.UpstreamLocal), addressText(c.UpstreamHost),
			c.BytesReceived, c.BytesSent, short(c.Age), short(c.Idle), dash(c.Engine))
	}
	// Writing to a strings.Builder cannot fail.
	_ = table.Flush()
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func addressText(a netip.AddrPort) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// short shows whole seconds from one second on, milliseconds below.
func short(d time.Duration) string {
	if d >= time.Second {
		return d.Truncate(time.Second).String()
	}
	return d.Truncate(time.Millisecond).String()
}

// jsonConnection has the keys of the access log where it has the same thing.
type jsonConnection struct {
	ID                      uint64          `json:"connection_id"`
	Listener                string          `json:"listener"`
	FilterChain             string          `json:"filter_chain"`
	UpstreamCluster         string          `json:"upstream_cluster"`
	DownstreamRemoteAddress *netip.AddrPort `json:"downstream_remote_address"`
	DownstreamLocalAddress  *netip.AddrPort `json:"downstream_local_address"`
	UpstreamLocalAddress    *netip.AddrPort `json:"upstream_local_address"`
	UpstreamHost            *netip.AddrPort `json:"upstream_host"`
	BytesReceived           uint64          `json:"bytes_received"`
	BytesSent               uint64          `json:"bytes_sent"`
	AgeMs                   int64           `json:"age_ms"`
	IdleMs                  int64           `json:"idle_ms"`
	Engine                  *string         `json:"engine"`
}

func (c *ConnectionInfo) json() jsonConnection {
	j := jsonConnection{
		ID: c.ID, Listener: c.Listener, FilterChain: c.FilterChain, UpstreamCluster: c.Cluster,
		DownstreamRemoteAddress: known(c.DownstreamRemote), DownstreamLocalAddress: known(c.DownstreamLocal),
		UpstreamLocalAddress: known(c.UpstreamLocal), UpstreamHost: known(c.UpstreamHost),
		BytesReceived: c.BytesReceived, BytesSent: c.BytesSent, AgeMs: c.Age.Milliseconds(), IdleMs: c.Idle.Milliseconds(),
	}
	if c.Engine != "" {
		j.Engine = &c.Engine
	}
	return j
}

// known is nil, null in JSON, for an address that is not known.
func known(a netip.AddrPort) *netip.AddrPort {
	if !a.IsValid() {
		return nil
	}
	return &a
}
