package cli

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
)

//go:embed logs_report.html
var logsReportHTML string

var logsReportTemplate = sync.OnceValues(func() (*template.Template, error) {
	return template.New("report").Funcs(template.FuncMap{
		"timeline": timelineOf,
		"changes":  func(r logscan.Result) []numbered { return changesShown(r.Incidents) },
		"app":      appOf,
		"errorBar": errorBar,
		"whose":    whose,
		"where":    placeName,
		"time":     func(at time.Time) string { return at.UTC().Format(time.DateTime + "Z") },
	}).Parse(logsReportHTML)
})

// writeLogsReport writes one page that needs nothing else: no script, and no
// request to anywhere.
func writeLogsReport(w io.Writer, r logscan.Result) error {
	page, err := logsReportTemplate()
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

// saveLogsReport writes the report to a file that others cannot read.
func saveLogsReport(file string, r logscan.Result) error {
	if file == "" {
		return nil
	}
	var page bytes.Buffer
	if err := writeLogsReport(&page, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		return usage("name a file in a directory that exists and can be written to", "write the report %s: %w", file, reasonOf(err))
	}
	return nil
}

// The measures of a chart, in the units of its SVG.
const (
	chartWidth  = 800
	chartLabels = 190 // of them, left of the axis
	chartLane   = 46  // height of one incident
	chartHead   = 22  // above the first
)

// timeline draws all incidents below each other on one axis of time, with the
// changes before them as lines through all.
type timeline struct {
	Width, Height int
	Lanes         []timelineLane
	Marks         []timelineMark
	Ticks         []timelineTick
	Bottom        float64
}

type timelineLane struct {
	ID, Label string
	Y         float64 // of its base line
	Bars      []timelineBar
	ErrorBar  *timelineBar // when it may have started
}

type timelineBar struct {
	X, Y, Width, Height float64
	Failures            uint32
}

type timelineMark struct {
	X       float64
	NumberX float64 // beside the line where numbers are crowded
	N       int     // in the list of changes
	Label   string
}

type timelineTick struct {
	X     float64
	Label string
}

// axis maps times to the chart.
type axis struct {
	from  time.Time
	whole time.Duration
}

func (a axis) x(at time.Time) float64 {
	return chartLabels + float64(at.Sub(a.from))/float64(a.whole)*(chartWidth-chartLabels)
}

// axisOf runs from the first change or failure shown to the last failure.
func axisOf(list []logscan.Incident) (axis, bool) {
	var from, to time.Time
	for _, in := range list {
		if in.First == nil {
			continue
		}
		for _, at := range append([]time.Time{*in.First}, timesOf(in.Changes)...) {
			if from.IsZero() || at.Before(from) {
				from = at
			}
		}
		if in.Last.After(to) {
			to = *in.Last
		}
	}
	margin := max(to.Sub(from)/50, time.Second)
	return axis{from.Add(-margin), to.Sub(from) + 2*margin}, !from.IsZero()
}

func timesOf(changes []logscan.Change) (times []time.Time) {
	for _, c := range changes {
		times = append(times, c.At)
	}
	return times
}

// maxLanes incidents are drawn: more are in the table.
const maxLanes = 20

func timelineOf(r logscan.Result) timeline {
	list := r.Incidents[:min(len(r.Incidents), maxLanes)]
	t := timeline{Width: chartWidth}
	a, ok := axisOf(list)
	if !ok {
		return t
	}
	for _, in := range list {
		if in.First != nil {
			t.Lanes = append(t.Lanes, laneOf(in, a, float64(chartHead+(len(t.Lanes)+1)*chartLane)))
		}
	}
	t.Bottom = float64(chartHead + len(t.Lanes)*chartLane)
	t.Height = int(t.Bottom) + chartHead
	for _, c := range changesShown(list) {
		const crowded = 14
		x := a.x(c.At)
		number := x
		if n := len(t.Marks); n > 0 {
			number = max(number, t.Marks[n-1].NumberX+crowded)
		}
		t.Marks = append(t.Marks, timelineMark{x, number, c.N, c.At.Format(time.DateTime+"Z") + " " + c.What})
	}
	const ticks = 4
	layout := "2006-01-02 15:04"
	if a.whole < 10*time.Minute {
		layout = "15:04:05"
	}
	for i := range ticks {
		at := a.from.Add(a.whole * time.Duration(2*i+1) / (2 * ticks))
		t.Ticks = append(t.Ticks, timelineTick{a.x(at), at.UTC().Format(layout)})
	}
	return t
}

func laneOf(in logscan.Incident, a axis, y float64) timelineLane {
	const thinnest, full = 2.0, chartLane - 14.0
	lane := timelineLane{ID: in.ID, Label: appOf(in), Y: y}
	if in.Name != "" {
		lane.Label = in.Name
	}
	const longest = 26 // characters that fit
	if label := []rune(lane.Label); len(label) > longest {
		lane.Label = string(label[:longest-1]) + "…"
	}
	most := uint32(1)
	for _, n := range in.Rate {
		most = max(most, n)
	}
	start := a.x(*in.First)
	width := (a.x(*in.Last) - start) / float64(max(len(in.Rate), 1))
	for i, n := range in.Rate {
		if n > 0 {
			height := max(float64(n)/float64(most)*full, thinnest)
			lane.Bars = append(lane.Bars, timelineBar{start + float64(i)*width, y - height, max(width-0.5, thinnest), height, n})
		}
	}
	if in.StartedWithin > 0 {
		from := max(a.x(in.Started.Add(-time.Duration(in.StartedWithin*float64(time.Second)))), chartLabels)
		lane.ErrorBar = &timelineBar{X: from, Y: y + 2, Width: max(a.x(*in.Started)-from, thinnest), Height: 3}
	}
	return lane
}

// numbered is a change with its number in the chart.
type numbered struct {
	N int
	logscan.Change
}

// changesShown are those of all incidents, each once, in order of time.
func changesShown(list []logscan.Incident) []numbered {
	var all []numbered
	for _, in := range list {
		for _, c := range in.Changes {
			if !slices.ContainsFunc(all, func(other numbered) bool {
				return other.At.Equal(c.At) && other.What == c.What && other.Source == c.Source
			}) {
				all = append(all, numbered{0, c})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b numbered) int { return a.At.Compare(b.At) })
	for i := range all {
		all[i].N = i + 1
	}
	return all
}
