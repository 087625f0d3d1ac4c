#!/usr/bin/env bash
# The complete study on a small scale: a synthetic cohort in the layouts of the public data sets, through every command to the report.
#   bash examples/study/study.sh OUT [PATIENTS]
# CSPINE names the command (cspine); SPLIT_OPTIONS and TRAIN_OPTIONS are added to `cspine dataset split` and `cspine train`.
# Complete steps in OUT are kept.
set -euo pipefail
out=$1 patients=${2:-30}
read -ra cspine <<< "${CSPINE:-cspine}"
read -ra split_options <<< "${SPLIT_OPTIONS:-}"
read -ra train_options <<< "${TRAIN_OPTIONS:-}"
begun=$SECONDS

step() { printf '\n=== %s min  %s\n' "$(((SECONDS - begun) / 60))" "$1"; }
true_study() { printf '    the true study: %s\n' "$1"; }

step "1  a synthetic cohort in the data sets' own layouts"
"${cspine[@]}" dataset dry-run --out "$out/cohort" --patients "$patients"
sources=(--verse2019 "$out/cohort/verse2019" --verse2020 "$out/cohort/verse2020" --ctspine1k "$out/cohort/ctspine1k"
  --hnscc "$out/cohort/hnscc" --msd-colon "$out/cohort/msd-colon" --totalsegmentator "$out/cohort/totalsegmentator")
cervical=$out/raw/Dataset501_Cervical full_spine=$out/raw/Dataset502_FullSpine

step "2  convert, and leave out whose levels are in disorder"
rm -f "$out/proposed.csv"
"${cspine[@]}" dataset convert --label-set full-spine --out "$full_spine" "${sources[@]}" --write-exclusions "$out/proposed.csv"
# In a true study a person looks at each proposed case. The one that is wrong here is known.
{ head -n 1 "$out/proposed.csv"; grep 'order' "$out/proposed.csv" || true; } > "$out/exclusions.csv"
"${cspine[@]}" dataset convert --label-set full-spine --out "$full_spine" "${sources[@]}" --exclude "$out/exclusions.csv"
"${cspine[@]}" dataset convert --label-set cervical --out "$cervical" "${sources[@]}" --exclude "$out/exclusions.csv"

step "3  split by patient, both datasets alike"
"${cspine[@]}" dataset split "$cervical" "$full_spine" --scale "${split_options[@]}"
"${cspine[@]}" dataset summary "$cervical"
"${cspine[@]}" dataset summary "$full_spine"

step "4  train both models in five folds"
"${cspine[@]}" train "$cervical" --preset smoke --run "$out/run/cervical" --out "$out/models/cervical" "${train_options[@]}"
# 26 levels take longer to learn than 8.
"${cspine[@]}" train "$full_spine" --preset smoke --epochs 16 --run "$out/run/full-spine" --out "$out/models/full-spine" "${train_options[@]}"

step "5  predict: internal and external cases by all folds, training cases by the fold that did not see them"
true_study "477 cases per model, of which 305 by five folds; take a GPU"
"${cspine[@]}" predict --model "$out/models/cervical" --dataset "$cervical" --subsets training,internal,external --out "$out/predictions/cervical"
"${cspine[@]}" predict --model "$out/models/full-spine" --dataset "$full_spine" --subsets training,internal,external --out "$out/predictions/full-spine"

step "6  evaluate: both on the references of the cervical dataset, and the full-spine model on its own"
true_study "some 40 ms of one core per vertebra (benchmarks/evaluation_speed.py), and the time to read 477 cases"
"${cspine[@]}" evaluate --dataset "$cervical" --prediction "$out/predictions/cervical" --title "Cervical" --out "$out/evaluation/cervical"
"${cspine[@]}" evaluate --dataset "$cervical" --prediction "$out/predictions/full-spine" --title "Full spine" --out "$out/evaluation/full-spine"
"${cspine[@]}" evaluate --dataset "$full_spine" --prediction "$out/predictions/full-spine" --title "Full spine, C1..L6" --out "$out/evaluation/full-spine-whole"

step "7  compare, as the paper does"
true_study "seconds"
"${cspine[@]}" compare "$out/evaluation/cervical" "$out/evaluation/full-spine" --with-paper --out "$out/comparison"

report=$out/comparison/report.html
if command -v chromium >/dev/null; then
  step "8  the report in a browser"
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,6000 \
    --screenshot="$out/report.png" "file://$(realpath "$report")" 2>/dev/null
  echo "Picture of the report: $out/report.png"
fi
echo
echo "Done in $(((SECONDS - begun) / 60)) min. Open $report"
