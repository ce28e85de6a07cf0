package report

import (
	"slices"

	"github.com/sluiceproxy/sluice/bench"
)

// look is how a subject appears, the same everywhere on a page.
type look struct {
	Class string
	Color string // as CSS has it
	Shape string // an SVG path around 0,0, for who cannot tell colours apart
}

// looks gives each subject its own. The colours are those of Okabe and Ito,
// which people with colour-blindness can tell apart
// (https://jfly.uni-koeln.de/color/), and show on white as on near-black.
func looks(names []string) map[string]look {
	known := map[string]look{
		bench.Sluice:  {"c-sluice", "#d55e00", "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z"},
		bench.Nginx:   {"c-nginx", "#009e73", "M-4,-4h8v8h-8z"},
		bench.HAProxy: {"c-haproxy", "#0072b2", "M0,-5.5L5,3.5H-5z"},
		bench.Envoy:   {"c-envoy", "#cc79a7", "M0,-5.5L5.5,0L0,5.5L-5.5,0z"},
		bench.Direct:  {"c-direct", "#888888", "M-4.5,-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z"},
	}
	more := []look{
		{"c-more-1", "#b08a00", "M0,5.5L5,-3.5H-5z"},
		{"c-more-2", "#56b4e9", "M-5.5,-2h11v4h-11z"},
		{"c-more-3", "#8a6fd1", "M-2,-5.5h4v11h-4z"},
	}
	all := make(map[string]look)
	others := 0
	for _, name := range names {
		l, ok := known[name]
		if !ok {
			l = more[others%len(more)]
			others++
		}
		all[name] = l
	}
	return all
}

// drawn is the order to draw subjects in: sluice comes last, above the others.
func drawn(names []string) []string {
	i := slices.Index(names, bench.Sluice)
	if i < 0 {
		return names
	}
	return append(slices.Delete(slices.Clone(names), i, i+1), bench.Sluice)
}
