#!/usr/bin/env bash
# Everything of docs/tutorial.rst, from raw frames to a refined structure.
#
#   docs/tutorial/run.sh [FOLDER [STEP]]
#
# FOLDER is where to work, ./tutorial by default. With STEP (scale, for instance), steps
# before it are not run again, and what they said is quoted from FOLDER.
#
# It wants the commands of DIALS and of dials_spread on the path, and takes some ten
# minutes on two cores that have nothing else to do. What each step says is kept in FOLDER/<step>.out, and the part
# that the page quotes in docs/output/tutorial/<step>.txt.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
quoted=${here%/*}/output/tutorial
work=${1:-tutorial}
from=${2:-}
mkdir -p "$work" "$quoted"
cp "$here"/*.py "$work"
cd "$work"

# step NAME FIRST LAST COMMAND: run the command as typed; quote its output from the line
# that matches FIRST to the last line that matches LAST, or, where LAST is "paragraphs" or
# "lines", all paragraphs or all different lines that match FIRST, or, where it is a number,
# as many lines from the last that matches.
step() {
  local name=$1 first=$2 last=$3 command=$4
  [[ $name != "$from" ]] || from=
  if [[ -z $from ]]; then
    printf '%s  $ %s\n' "$(date +%T)" "$command"
    # dials.estimate_resolution of DIALS 3.12 ends with status 1 although all is well.
    eval "$command" >"$name.out" 2>&1 || [[ $name == resolution ]] ||
      { tail -n 20 "$name.out"; exit 1; }
  fi
  {
    printf '$ %s\n' "$command"
    if [[ $last == paragraphs ]]; then
      awk -v first="$first" 'BEGIN { RS = ""; ORS = "\n\n" } $0 ~ first' "$name.out"
    elif [[ $last == lines ]]; then
      awk -v first="$first" '$0 ~ first && !seen[$0]++' "$name.out"
    elif [[ $last =~ ^[0-9]+$ ]]; then
      awk -v first="$first" -v n="$last" '
        $0 ~ first { k = 0 }
        { lines[++k] = $0 }
        END { for (i = 1; i <= n && i <= k; i++) print lines[i] }' "$name.out"
    else
      awk -v first="$first" -v last="$last" '
        !on && $0 ~ first { on = 1 }
        on { lines[++n] = $0; if ($0 ~ last) end = n }
        END { for (i = 1; i <= end; i++) print lines[i] }' "$name.out"
    fi | fold -s -w 100
  } | sed 's/[[:space:]]*$//' >"$quoted/$name.txt"
}

# Data.
step simulate '^Summary' '^=====' \
  'dials.simulate_ed structure=paracetamol n_crystals=5 scan_width=60 d_min=0.8 thickness.median=800 noise.mean_counts=300 noise.extra_error=0.05 absorption=0.05 n_pixels=512 output.images=cbf'

# Processing.
step import 'format:' 'num stills' 'dials.import images/*.cbf'
step find_spots '^Saved' '^Saved' 'dials.find_spots imported.expt'
step index '^.   Imageset' 4 \
  'dials.index imported.expt strong.refl joint_indexing=False detector.fix=distance'
step refine '^RMSDs by experiment' 11 \
  'dials.refine indexed.expt indexed.refl detector.fix=distance'
step integrate '^Removing' '^Saving' 'dials.integrate refined.expt refined.refl'
step cosym '^Best solution' '^x,y,z' \
  'dials.cosym integrated.expt integrated.refl'
step resolution '^Resolution' '^Resolution' \
  'dials.estimate_resolution symmetrized.expt symmetrized.refl'
step cut '^Selected' '^Saving' \
  'dials.filter_reflections symmetrized.expt symmetrized.refl d_min=0.8 output.reflections=cut.refl'
step reindex '^Saving' '^Saving' \
  'dials.reindex symmetrized.expt cut.refl change_of_basis_op=c,b,-a space_group=Pbca'

# Without a correction, to have a look at the data and for comparison.
step scale_plain '^ +Overall' '^Total unique' \
  'dials.scale reindexed.expt reindexed.refl output.experiments=plain.expt output.reflections=plain.refl'
step compare '^(Summary|Where does it|The disagreement|Which images|1[.] )' paragraphs \
  'dials.compare_images plain.expt plain.refl'

# With it.
step correct '^(Summary|Before and after|Data:|Expected R1|Merging statistics before)' paragraphs \
  'dials.ml_correct reindexed.expt reindexed.refl output.merged=merged.hkl'
step scale '^ +Overall' '^Total unique' \
  'dials.scale corrected.expt corrected.refl'

# Structure.
step export_plain '^Written .* plain' '^Written' \
  'dials.export plain.expt plain.refl format=shelx shelx.hklout=plain.hkl shelx.ins=stub.ins'
step export '^Written' '^Written' \
  'dials.export scaled.expt scaled.refl format=shelx shelx.hklout=paracetamol.hkl shelx.ins=stub.ins'
step ins '.' '.' \
  'python shelx_ins.py scaled.expt paracetamol C=8,H=9,N=1,O=2 8 Pbca > paracetamol.ins; cat paracetamol.ins'
step solve '.' '.' \
  'python solve_and_refine.py plain.hkl paracetamol.hkl merged.hkl'

# Everything at once: solved from the first correction, corrected a second time, refined.
step solved '^(Structure: solved|The structure (helps|refined)|Fo − Fc|Elements)' paragraphs \
  'dials.ml_correct reindexed.expt reindexed.refl structure=solve output.composition=C8H9NO2 output.experiments=second.expt output.reflections=second.refl output.log=second.log output.json=second.json output.html=second.html'
