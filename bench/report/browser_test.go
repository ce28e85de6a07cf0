package report

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// window is a browser window that the whole page fits in.
const window = "1280,14000"

// browse opens a file in Chromium, in a network namespace where nothing can be
// reached, and returns what it wrote: the document, and what it logged.
func browse(t *testing.T, file string, flags ...string) (stdout, stderr string) {
	t.Helper()
	testnet.Need(t, "chromium", "unshare")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{"--net", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--user-data-dir=" + t.TempDir(), "--enable-logging=stderr", "--virtual-time-budget=5000",
		"--force-color-profile=srgb", "--force-device-scale-factor=1", "--hide-scrollbars", "--window-size=" + window}
	cmd := exec.CommandContext(ctx, "unshare", append(append(args, flags...), "file://"+file)...)
	cmd.WaitDelay = 5 * time.Second
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, log.String())
	}
	return out.String(), log.String()
}

// messages are what the page made the browser write to its console. Chromium's
// own pages, which it opens beside, write there too.
func messages(log string) []string {
	var found []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "CONSOLE") && !strings.Contains(line, "source: chrome://") {
			found = append(found, line)
		}
	}
	return found
}

// save writes a page into a directory of the test's own.
func save(t *testing.T, page string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// plotted says who is in which plot of the sample.
func plotted() map[string][]string {
	all := []string{bench.Direct, bench.Sluice, bench.Nginx, bench.HAProxy, bench.Envoy}
	proxies := all[1:]
	return map[string][]string{
		"throughput-explicit-own-64-b": all,
		"rate-requests":                all,
		"rate-connections":             all,
		"rate-streams":                 all,
		"cpu-requests":                 proxies,
		"cpu-connections":              proxies,
		"cpu-streams":                  proxies,
		"latency-requests-1":           all,
		"latency-requests-64":          all,
		"latency-requests-1000":        all,
		"latency-open-loop":            all,
		"latency-connections-fin":      all,
		"latency-churn":                {bench.Direct, bench.Sluice, bench.Nginx, bench.Envoy},
		"latency-redirect-64":          {bench.Direct, bench.Sluice, bench.HAProxy, bench.Envoy},
		"memory-explicit":              proxies,
		"memory-per-connection":        proxies,
	}
}

// TestBrowserShowsThePlots opens the page as a reader does: every plot is in
// the document, and the colour of everyone in it is among its pixels.
func TestBrowserShowsThePlots(t *testing.T) {
	text := pageOf(t, sample())
	file := save(t, text)
	document, log := browse(t, file, "--dump-dom")
	if found := messages(log); len(found) > 0 {
		t.Errorf("the console says:\n%s", strings.Join(found, ""))
	}
	shot := screenshot(t, file)
	where := places(t, text)
	want := plotted()
	for _, id := range figureIDs(document) {
		if want[id] == nil {
			t.Errorf("there is a plot %s that the test does not know", id)
		}
	}
	for id, subjects := range want {
		frame, ok := where[id]
		if !ok || !frame.In(shot.Bounds()) || frame.Dx() < 300 {
			t.Errorf("plot %s is at %v of a page of %v", id, frame, shot.Bounds())
			continue
		}
		for _, subject := range []string{bench.Direct, bench.Sluice, bench.Nginx, bench.HAProxy, bench.Envoy} {
			painted := countColor(t, shot, frame, looks([]string{subject})[subject].Color)
			there := strings.Contains(" "+strings.Join(subjects, " ")+" ", " "+subject+" ")
			if there && painted < 100 || !there && painted > 0 {
				t.Errorf("plot %s has %d pixels in the colour of %s, who is in it: %v", id, painted, subject, there)
			}
		}
	}
}

// TestBrowserTellsOfErrors shows that the test above would see them, and that
// the page itself keeps scripts and the network out.
func TestBrowserTellsOfErrors(t *testing.T) {
	text := strings.Replace(pageOf(t, sample()), "</body>", `<script>document.title = "run"</script><img src="http://127.0.0.1:9/x.png"></body>`, 1)
	document, log := browse(t, save(t, text), "--dump-dom")
	if len(messages(log)) < 2 {
		t.Errorf("the console does not tell of a script and an image that the page forbids:\n%s", log)
	}
	if strings.Contains(document, "<title>run</title>") {
		t.Error("a script ran in the page")
	}
}

func figureIDs(document string) []string {
	var ids []string
	for _, m := range regexp.MustCompile(`<figure id="([^"]*)">(?s:.*?)<svg class="plot"`).FindAllStringSubmatch(document, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func screenshot(t *testing.T, file string) image.Image {
	t.Helper()
	shot := filepath.Join(t.TempDir(), "page.png")
	browse(t, file, "--screenshot="+shot)
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// places asks the browser where it has put the plots. That needs a script, so
// it is done in a copy of the page that allows one.
func places(t *testing.T, text string) map[string]image.Rectangle {
	t.Helper()
	const script = `<script>
const all = {};
for (const f of document.querySelectorAll("figure")) {
	const r = f.querySelector("svg.plot").getBoundingClientRect();
	all[f.id] = [r.left, r.top, r.right, r.bottom].map(Math.round);
}
document.body.dataset.places = JSON.stringify(all);
</script></body>`
	policy := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)
	open := strings.Replace(policy.ReplaceAllString(text, ""), "</body>", script, 1)
	document, _ := browse(t, save(t, open), "--dump-dom")
	found := regexp.MustCompile(`data-places="([^"]*)"`).FindStringSubmatch(document)
	if found == nil {
		t.Fatal("the script in the copy of the page did not run")
	}
	var edges map[string][4]int
	if err := json.Unmarshal([]byte(html.UnescapeString(found[1])), &edges); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]image.Rectangle)
	for id, e := range edges {
		all[id] = image.Rect(e[0], e[1], e[2], e[3])
	}
	return all
}

// countColor counts the pixels of a part of a picture in a colour, give or take
// what a colour profile may round.
func countColor(t *testing.T, picture image.Image, part image.Rectangle, color string) int {
	t.Helper()
	rgb, err := strconv.ParseUint(strings.TrimPrefix(color, "#"), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	near := func(got uint32, want uint64) bool {
		d := int(got>>8) - int(want&0xff)
		return d >= -2 && d <= 2
	}
	n := 0
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			if near(r, rgb>>16) && near(g, rgb>>8) && near(b, rgb) {
				n++
			}
		}
	}
	return n
}
