package explain

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Text is the answer for people.
func (a *Answer) Text() string {
	var b strings.Builder
	d := &a.Detected
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, printable(text))
		}
	}
	row("listener", a.Listener)
	from := d.Source
	if through := d.DirectSource; !strings.HasPrefix(from, through+":") && !strings.HasPrefix(from, "["+through+"]:") {
		from += " through " + through
	}
	row("from", from)
	row("to", d.Destination)
	row("inspection", string(d.Inspection))
	row("transport", string(d.TransportProtocol))
	row("server name", clipped(d.ServerName))
	row("protocols", clipped(strings.Join(d.ApplicationProtocols, ", ")))
	w.Flush()
	a.writeSteps(&b)
	row("verdict", string(a.Verdict))
	row("because", a.Reason)
	row("flags", a.ResponseFlags)
	row("chain", a.FilterChain)
	if len(a.WeightedClusters) == 0 {
		row("cluster", a.Cluster)
	}
	w.Flush()
	a.writeEndpoints(&b)
	return b.String()
}

func (a *Answer) writeSteps(b *strings.Builder) {
	b.WriteString("\n")
	for i, s := range a.Steps {
		fmt.Fprintf(b, "%3d. %s\n", i+1, printable(s.Text))
		if len(s.Excluded) > 0 {
			fmt.Fprintf(b, "     excluded: %s\n", printable(few(s.Excluded)))
		}
	}
	if len(a.Steps) > 0 {
		b.WriteString("\n")
	}
}

func (a *Answer) writeEndpoints(b *strings.Builder) {
	if len(a.Endpoints) == 0 {
		return
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "PERCENT\tENDPOINT\tHEALTH\tCLUSTER\n")
	for _, e := range a.Endpoints {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", strconv.FormatFloat(e.Percent, 'f', -1, 64), e.Address, e.Health, printable(e.cluster))
	}
	w.Flush()
}

// printable escapes what a client may have put into its names, so that it cannot
// pretend to be a line of ours or move the terminal's cursor.
func printable(text string) string {
	quoted := strconv.Quote(text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}
