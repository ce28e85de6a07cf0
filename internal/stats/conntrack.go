package stats

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// conntrackTable reads netfilter's connection tracking of the process's
// network namespace: when the table is full, new connections are lost before
// any proxy sees them.
type conntrackTable struct{ root string } // /proc

// entries is how many connections are tracked; NaN without conntrack.
func (t conntrackTable) entries() float64 { return t.number("sys/net/netfilter/nf_conntrack_count") }

// limit is how many can be tracked; NaN without conntrack.
func (t conntrackTable) limit() float64 { return t.number("sys/net/netfilter/nf_conntrack_max") }

func (t conntrackTable) number(name string) float64 {
	content, err := os.ReadFile(filepath.Join(t.root, name))
	if err != nil {
		return math.NaN()
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(string(content)), 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

// insertFailed sums the column of that name over all processors. The file has
// a line of column names, then a line of hexadecimal numbers for each
// processor (net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show).
func (t conntrackTable) insertFailed() float64 {
	content, err := os.ReadFile(filepath.Join(t.root, "net/stat/nf_conntrack"))
	if err != nil {
		return math.NaN()
	}
	return sumHexColumn(content, "insert_failed")
}

func sumHexColumn(table []byte, name string) float64 {
	lines := bytes.Split(bytes.TrimSpace(table), []byte("\n"))
	column := -1
	for i, title := range bytes.Fields(lines[0]) {
		if string(title) == name {
			column = i
		}
	}
	if column < 0 {
		return math.NaN()
	}
	var sum uint64
	for _, line := range lines[1:] {
		fields := bytes.Fields(line)
		if column >= len(fields) {
			return math.NaN()
		}
		n, err := strconv.ParseUint(string(fields[column]), 16, 64)
		if err != nil {
			return math.NaN()
		}
		sum += n
	}
	return float64(sum)
}
