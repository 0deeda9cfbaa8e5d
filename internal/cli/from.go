package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
)

// findSettings reads the settings in files and directories, in the order given.
// Places are named as the user named the roots; a place that two roots share
// is kept once.
func findSettings(ctx context.Context, paths []string) (setting.Result, error) {
	var all setting.Result
	seen := map[string]bool{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return all, usage("name files or directories that can be read", "open %s: %w", path, reasonOf(err))
		}
		dir, root := path, "."
		if !info.IsDir() {
			dir, root = filepath.Split(path)
		}
		result, err := setting.Find(ctx, os.DirFS(filepath.Clean(dir)), root)
		if err != nil {
			return all, err
		}
		result.Prefix(filepath.ToSlash(filepath.Clean(dir)))
		for _, f := range result.Settings {
			if !seen[placeKey(f)] {
				seen[placeKey(f)] = true
				all.Settings = append(all.Settings, f)
			}
		}
		all.Passed.Binary += result.Passed.Binary
		all.Passed.Large += result.Passed.Large
		for _, e := range result.Errors {
			if !seen[e.Error()] {
				seen[e.Error()] = true
				all.Errors = append(all.Errors, e)
			}
		}
	}
	return all, nil
}

// placeKey tells settings apart by where their parts stand: one text may be
// part of several, as in containers that share a Secret.
func placeKey(f setting.Found) string {
	return strings.Join([]string{f.Consumer, f.Name, f.Origin, fmt.Sprint(f.Client.Line, f.Client.Column, f.Tenant.Line, f.Tenant.Column), f.Client.File, f.Tenant.File}, "\n")
}

// showUnread says on standard error what could not be read, and with -v how
// many files of unknown names were passed over.
func (p *program) showUnread(result setting.Result) {
	for _, e := range result.Errors {
		fmt.Fprintln(p.Stderr, "credsmith: "+oneLine(e.Error()))
	}
	if passed := result.Passed; p.verbose && passed != (setting.Passed{}) {
		fmt.Fprintf(p.Stderr, "passed over files of other names: %d binary, %d large\n", passed.Binary, passed.Large)
	}
}

func (p *program) showNothingFound() {
	fmt.Fprintln(p.Stderr, "credsmith: no setting was found in these files")
	fmt.Fprintln(p.Stderr, "hint: docs/settings.md lists the files that are read")
}

// fromExit is the exit code of a command over settings in files.
func fromExit(problem, open bool) error {
	switch {
	case problem:
		return found{exitProblem}
	case open:
		return found{exitCannotTell}
	}
	return nil
}

// trusted returns the login host a setting is tried at. The flag goes first.
// What a file names is taken when it is Microsoft's, this machine, or the one
// of the environment: a file is no reason to send a secret to any other host.
func trusted(s entra.Setting, flag, fallback string) (string, error) {
	if flag != "" || s.Authority == "" {
		return fallback, nil
	}
	origin, err := entra.Origin(s.Authority)
	if err != nil {
		return "", err
	}
	if _, known := entra.CloudOf(origin); known || origin == fallback || onThisMachine(origin) {
		return origin, nil
	}
	return "", errors.New("the file names the login host " + origin + ", which is not one of Microsoft's")
}

func onThisMachine(origin string) bool {
	host := strings.TrimPrefix(origin, "https://")
	if end := strings.LastIndexByte(host, ':'); end > 0 && !strings.HasSuffix(host, "]") {
		host = host[:end]
	}
	return slices.Contains([]string{"localhost", "127.0.0.1", "[::1]"}, host)
}

// job is one setting to diagnose and all places that hold it.
type job struct {
	setting entra.Setting
	print   string // fingerprint of the value
	places  []setting.Found
	problem error // why it cannot be tried, although it is complete
}

// jobsOf joins identical settings, in the order of their first place; index
// tells the job of each place. Partial settings stay alone.
func jobsOf(all []setting.Found, key secret.Key, authority func(entra.Setting) (string, error)) (jobs []*job, index []int) {
	known := map[string]int{}
	for _, f := range all {
		j := &job{setting: f.Setting, print: key.Fingerprint(f.Value), places: []setting.Found{f}}
		if !f.Complete() {
			jobs, index = append(jobs, j), append(index, len(jobs))
			continue
		}
		j.setting.Authority, j.problem = authority(f.Setting)
		same := strings.Join([]string{strings.ToLower(f.TenantID), strings.ToLower(f.ClientID), j.print, j.setting.Authority, fmt.Sprint(j.problem)}, "\n")
		if i, ok := known[same]; ok {
			jobs[i].places = append(jobs[i].places, f)
			index = append(index, i)
			continue
		}
		known[same] = len(jobs)
		jobs, index = append(jobs, j), append(index, len(jobs))
	}
	return jobs, index
}
