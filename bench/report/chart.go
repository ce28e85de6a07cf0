package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/sluiceproxy/sluice/bench"
)

// chart is a plot with its places computed; the template chart.svg draws it.
//
// It is our own and not gonum.org/v1/plot's because that writes colours into
// every element, which a style sheet for dark screens cannot reach, names no
// element for screen readers or tips, and measures text by fonts that a reader
// without network may not have.
type chart struct {
	ID      string
	Title   string
	Caption string
	Words   string // the same for who cannot see it
	Legend  []legend
	Width   float64
	Height  float64
	Area    area
	XName   string
	YName   string
	XTicks  []place
	YTicks  []place
	Lines   []drawnLine
	Groups  []text
	Bars    []drawnBar
}

// area is where the data is drawn.
type area struct{ Left, Top, Right, Bottom float64 }

func (a area) x(share float64) float64 { return round(a.Left + share*(a.Right-a.Left)) }
func (a area) y(share float64) float64 { return round(a.Bottom - share*(a.Bottom-a.Top)) }

// place is a tick on the canvas.
type place struct {
	At    float64
	Label string
}

type text struct {
	Y     float64
	Label string
}

type legend struct {
	Look    look
	Subject string
	Strong  bool
}

type drawnLine struct {
	Look   look
	Strong bool
	Path   string
	Marks  []mark
}

// mark is a point of a line; Low and High are the ends of its whisker.
type mark struct {
	X, Y, Low, High float64
	Whisker         bool
	Tip             string
}

// series is a line before it has a place.
type series struct {
	subject string
	points  []point
}

type point struct {
	x      float64
	spread bench.Spread
	tip    string
}

// round keeps the page small: a tenth of a pixel shows nowhere.
func round(v float64) float64 { return math.Round(10*v) / 10 }

func ticks(at []float64, s scale, onto func(float64) float64, label func(float64) string) []place {
	places := make([]place, len(at))
	for i, v := range at {
		places[i] = place{onto(s.at(v)), label(v)}
	}
	return places
}

// draw puts series into a chart.
func (c *chart) draw(all []series, looks map[string]look, x, y scale) {
	for _, s := range all {
		line := drawnLine{Look: looks[s.subject], Strong: s.subject == bench.Sluice}
		var path strings.Builder
		for i, p := range s.points {
			m := mark{X: c.Area.x(x.at(p.x)), Y: c.Area.y(y.at(p.spread.Median)),
				Low: c.Area.y(y.at(p.spread.Min)), High: c.Area.y(y.at(p.spread.Max)), Tip: p.tip}
			m.Whisker = m.Low-m.High >= 1
			line.Marks = append(line.Marks, m)
			letter := "L"
			if i == 0 {
				letter = "M"
			}
			fmt.Fprintf(&path, "%s%v,%v", letter, m.X, m.Y)
		}
		line.Path = path.String()
		c.Lines = append(c.Lines, line)
	}
}

// explain lists who is in the chart, and says it in words.
func (c *chart) explain(subjects []string, looks map[string]look, words []string) {
	for _, name := range subjects {
		c.Legend = append(c.Legend, legend{looks[name], name, name == bench.Sluice})
	}
	c.Words = strings.Join(words, "; ")
}

// slug makes an HTML id of a name.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
}
