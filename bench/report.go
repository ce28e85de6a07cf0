package bench

import "time"

// Subject names. Peers are all but Direct and Sluice.
const (
	Direct  = "direct" // no proxy
	Sluice  = "sluice"
	Nginx   = "nginx"
	HAProxy = "haproxy"

	// HAProxySplice is HAProxy once more, set to splice at all times, which
	// suits bulk better and small messages worse.
	HAProxySplice = "haproxy-splice"

	Envoy = "envoy"
)

// Mode is how connections reach the subject.
type Mode string

// The modes.
const (
	Explicit Mode = "explicit" // the client dials the proxy's address
	Redirect Mode = "redirect" // outbound capture by REDIRECT, in namespaces
	TProxy   Mode = "tproxy"   // inbound capture by TPROXY, in namespaces
)

// Modes are all of them, in the order of reports.
func Modes() []Mode { return []Mode{Explicit, Redirect, TProxy} }

// Report is everything that one comparison found.
type Report struct {
	Machine   Machine    `json:"machine"`
	Started   time.Time  `json:"started"`
	Took      Took       `json:"took"`
	Command   string     `json:"command"` // what gives such a report
	Rounds    int        `json:"rounds"`
	Subjects  []Subject  `json:"subjects"`
	LeftOut   []LeftOut  `json:"left_out,omitempty"`
	Scenarios []Scenario `json:"scenarios"`
	Rows      []Row      `json:"rows"`
}

// Took is how long the comparison took, nanoseconds.
type Took = time.Duration

// Machine is where it ran.
type Machine struct {
	Host   string `json:"host"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"` // that the programs may use
	Memory uint64 `json:"memory"`
	Go     string `json:"go"`
}

// Subject is one thing compared.
type Subject struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Configs []Config `json:"configs,omitempty"` // as generated, one for each mode
}

// Config is the configuration a subject ran with in one mode.
type Config struct {
	Mode    Mode     `json:"mode"`
	Command []string `json:"command"`
	File    string   `json:"file"`
	Text    string   `json:"text"`
}

// LeftOut says what was not compared, and why. Mode and Scenario are empty when
// it was left out of all.
type LeftOut struct {
	Subject  string `json:"subject"`
	Mode     Mode   `json:"mode,omitempty"`
	Scenario string `json:"scenario,omitempty"`
	Why      string `json:"why"`
}

// Scenario is a load with what is to be learned from it.
type Scenario struct {
	Name   string `json:"name"` // for example "requests-64"
	Title  string `json:"title"`
	Mode   Mode   `json:"mode"`
	Load   Load   `json:"load"`
	Figure Figure `json:"figure"` // what the plots and the first ratio are about
	Goals  []Goal `json:"goals,omitempty"`

	// Of, with Share, sets Load.Rate to Share of the best peer's median rate
	// in the scenario of that name, which stands before this one.
	Of    string  `json:"of,omitempty"`
	Share float64 `json:"share,omitempty"`

	// Rounds, if not 0, takes the place of Report.Rounds.
	Rounds int `json:"rounds,omitempty"`

	// Fresh starts the subject anew for every measure: its memory is what
	// is measured.
	Fresh bool `json:"fresh,omitempty"`

	// Scrape has sluice's metrics read this often meanwhile, and Series has it
	// configured so that they hold about so many. Others are not scraped.
	Scrape time.Duration `json:"scrape,omitempty"`
	Series int           `json:"series,omitempty"`
}

// Figure is one number of a measure; see Measure.Figure.
type Figure string

// The figures.
const (
	AnswersPerSecond Figure = "answers_per_second"
	OpenedPerSecond  Figure = "opened_per_second"
	BitsPerSecond    Figure = "bits_per_second"
	CPUPerAnswer     Figure = "cpu_per_answer"   // seconds
	CPUPerGigabyte   Figure = "cpu_per_gigabyte" // seconds, 10⁹ bytes
	CPUPerOpened     Figure = "cpu_per_opened"   // seconds
	RSSPerOpened     Figure = "rss_per_opened"   // bytes, above the memory before
	PSSPerOpened     Figure = "pss_per_opened"   // bytes
	P50              Figure = "p50"              // seconds
	P90              Figure = "p90"
	P99              Figure = "p99"
	P999             Figure = "p999"
	Max              Figure = "max"
	SwitchesPerUnit  Figure = "switches_per_unit" // context switches per answer, connection or gigabyte
	RSS              Figure = "rss"
	PSS              Figure = "pss"
)

// Goal is what sluice wants to reach against the best peer of the same row.
type Goal struct {
	Figure Figure  `json:"figure"`
	Ratio  float64 `json:"ratio,omitempty"` // to the best peer; at least this where more is better, else at most; 0 = none
	Limit  float64 `json:"limit,omitempty"` // in the figure's unit, at most; 0 = none
}

// Row is what one subject did in one scenario.
type Row struct {
	Scenario string  `json:"scenario"`
	Subject  string  `json:"subject"`
	Rounds   []Round `json:"rounds"`
	Void     string  `json:"void,omitempty"` // why the row does not count; empty: it does
}

// Round is one measure of a row.
type Round struct {
	Number  int           `json:"number"` // from 1; the same number ran side by side
	Measure Measure       `json:"measure"`
	GCPause time.Duration `json:"gc_pause,omitempty"` // sluice's longest so far
}
