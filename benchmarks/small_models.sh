#!/usr/bin/env bash
# Every run of docs/results.md, one after the other, each on one core: pretraining, then each task beside its baselines. Training is in
# bf16, for which the CPU of docs/results.md has instructions: 1.6 times the steps.
#     bash benchmarks/small_models.sh DATA OUTPUT [en|zh] [part ...]        parts: pretrain, and the names of the functions below
#     seeds="1 2" bash benchmarks/small_models.sh DATA OUTPUT en sst2       other seeds of the runs on all rows
set -euo pipefail
data=$1 output=$2 language=${3:-en}
python=${PYTHON:-python}
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
scratch='{"hidden_size": 256, "num_layers": 4, "num_attention_heads": 4, "max_sequence_length": 256, "embedding_dropout_prob": 0.0,
    "attention_dropout_prob": 0.0, "output_dropout_prob": 0.0}'
small=$output/pretrain_small_$language
text=$data/pretrain/$language

# cloze NAME CONFIG FLAGS: a run of a task; NAME is its folder. A finished one is not run again.
cloze() {
    local folder=$output/tasks/$1 config=configs/cloze_$2.yaml
    [ -f "$folder/metrics.json" ] && return
    $python scripts/finetune_cloze.py "$config" --output_dir "$folder" --disable_tqdm True \
        --use_cpu True --bf16 True --train_sampling_strategy group_by_length --per_device_train_batch_size 16 --per_device_eval_batch_size 32 "${@:3}"
    rm -f "$folder"/*.safetensors  # the results are what is wanted
}

# writes NAME CONFIG FLAGS: the same of a task whose answer is a text; `script=benchmarks/bart.py` before it: its baseline
writes() {
    local folder=$output/tasks/$1 config=configs/seq2seq_$2.yaml
    [ -f "$folder/metrics.json" ] && return
    $python "${script:-scripts/finetune_seq2seq.py}" "$config" --output_dir "$folder" --disable_tqdm True --report_to none --save_strategy no \
        --use_cpu True --bf16 True --train_sampling_strategy group_by_length --per_device_train_batch_size 16 --per_device_eval_batch_size 16 "${@:3}"
}

# few TASK ROWS-FLAGS: cloze and classifier on 32 rows, five seeds each
few() {
    for seed in 0 1 2 3 4; do
        for method in cloze classifier; do
            cloze "$1-32-$method-$seed" "$1" --model "$small" --method $method --seed $seed --train_rows 32 \
                --num_train_epochs 20 --per_device_train_batch_size 8 --learning_rate 3e-4 "${@:2}"
        done
    done
}

# all TASK "SEEDS" FLAGS: cloze and classifier on all rows; on the first seed, cloze from scratch too; and n-grams
all() {
    local task=$1 seeds=$2 flags=("${@:3}")
    [ -f "$output/tasks/$task-all-ngrams/metrics.json" ] || $python benchmarks/ngrams.py "configs/cloze_$task.yaml" "${flags[@]}" \
        --output_dir "$output/tasks/$task-all-ngrams"
    for seed in $seeds; do
        cloze "$task-all-cloze-$seed" "$task" --model "$small" --seed "$seed" "${flags[@]}" "${answers[@]}"
        cloze "$task-all-classifier-$seed" "$task" --model "$small" --method classifier --seed "$seed" "${flags[@]}"
        [ "$seed" != 0 ] || cloze "$task-all-scratch-0" "$task" --config "$scratch" --tokenizer "$small" "${flags[@]}" "${answers[@]}"
    done
}
answers=()

pretrain() {
    if [ "$language" = en ]; then
        $python scripts/pretrain.py configs/pretrain_small_en.yaml --bf16 True --output_dir "$small" --train_data "$text/wikitext-2/wiki.train.tokens" \
            "$text/novels/" --evaluation_data "$text/wikitext-2/wiki.valid.tokens"
    else
        $python scripts/pretrain.py configs/pretrain_small_zh.yaml --bf16 True --output_dir "$small" --train_data "$text/tang_simplified.jsonl" \
            "$text/CLUECorpusSmall_sampled.txt" --evaluation_documents 200
    fi
}

# English

language_model() {
    $python scripts/evaluate_lm.py --model "$small" --evaluation_data "$text/wikitext-2/wiki.test.tokens" \
        --train_data "$text/wikitext-2/wiki.train.tokens" --lambada_data "$data/lm_eval/lambada_test.jsonl" --output_dir "$output/tasks/lm"
}

# the pretrained model, trained further as a language model alone, on WikiText-2 alone
wikitext() {
    local model=$output/pretrain_small_wikitext
    [ -f "$model/metrics.json" ] || $python scripts/pretrain.py --model "$small" --output_dir "$model" --use_cpu True --bf16 True \
        --mixture '{"document": 1.0}' --max_length 256 --document file --max_steps 1200 --per_device_train_batch_size 8 --warmup_steps 0.05 \
        --learning_rate 2e-3 --muon_learning_rate 0.01 --adam_beta2 0.98 --weight_decay 0.1 --report_to none --disable_tqdm True \
        --train_data "$text/wikitext-2/wiki.train.tokens" --evaluation_data "$text/wikitext-2/wiki.valid.tokens"
    $python scripts/evaluate_lm.py --model "$model" --evaluation_data "$text/wikitext-2/wiki.test.tokens" \
        --output_dir "$output/tasks/lm-wikitext"
}

sst2_rows=(--train_data "$data/cls/sst2/train.tsv" --evaluation_data "$data/cls/sst2/dev.tsv")

sst2() {
    all sst2 "${seeds:-0}" "${sst2_rows[@]}" --num_train_epochs 1 --per_device_train_batch_size 64 --learning_rate 5e-4
}

sst2_few() {
    cloze sst2-zero sst2 "${sst2_rows[@]}" --model "$small" --zero_shot
    few sst2 "${sst2_rows[@]}"
}

cb() {
    all cb "${seeds:-0 1 2 3 4}" --train_data "$data/superglue/CB/train.jsonl" --evaluation_data "$data/superglue/CB/val.jsonl" \
        --num_train_epochs 6 --per_device_train_batch_size 8 --learning_rate 3e-4
}

banking77() {
    # all 77 answers are scored in evaluation; trained on the right one alone, which is faster
    local answers=(--settings '{"loss": "generative", "length_normalization": true}')
    all banking77 "${seeds:-0 1 2 3 4}" --train_data "$data/cls/banking77/train.csv" --evaluation_data "$data/cls/banking77/test.csv" \
        --num_train_epochs 2 --learning_rate 5e-4
}

# three TASK CONFIG FLAGS: from the pretrained model, from scratch, and BART from scratch
three() {
    writes "$1-pretrained" "$2" --model "$small" "${@:3}"
    writes "$1-scratch" "$2" --config "$scratch" --tokenizer "$small" "${@:3}"
    script=benchmarks/bart.py writes "$1-bart" "$2" --config "$scratch" --tokenizer "$small" "${@:3}"
}

scitldr() {
    three scitldr summarization --train_data "$data"/seq2seq/scitldr/train.{source,target} \
        --evaluation_data "$data"/seq2seq/scitldr/val.{source,target} --max_length 160 --max_target_length 40 \
        --num_train_epochs 1 --learning_rate 5e-4 --evaluation_rows 100 \
        --generation '{"num_beams": 4, "no_repeat_ngram_size": 3, "min_new_tokens": 10}'
}

multi30k() {
    three multi30k translation --train_data "$data"/seq2seq/multi30k/train.{en,de} \
        --evaluation_data "$data"/seq2seq/multi30k/test_2016_flickr.{en,de} --num_train_epochs 1 --per_device_train_batch_size 32 \
        --learning_rate 1e-3 --max_target_length 96 --evaluation_rows 300 --generation '{"num_beams": 4}'
}

# smaller, with a tokenizer of the pairs, in fp32
multi30k_small() {
    local smaller='{"hidden_size": 192, "num_layers": 3, "num_attention_heads": 3, "max_sequence_length": 128}'
    local flags=(--train_data "$data"/seq2seq/multi30k/train.{en,de} --evaluation_data "$data"/seq2seq/multi30k/test_2016_flickr.{en,de}
        --config "$smaller" --vocab_size 8192 --num_train_epochs 1 --per_device_train_batch_size 32 --learning_rate 1e-3
        --max_target_length 48 --evaluation_rows 300 --generation '{"num_beams": 4}' --bf16 False)
    writes multi30k_small-scratch translation "${flags[@]}"
    script=benchmarks/bart.py writes multi30k_small-bart translation "${flags[@]}"
}

# Chinese

tnews() {
    local rows=(--train_data "$data/fewclue/tnews/train_few_all.json" --evaluation_data "$data/fewclue/tnews/test_public.json")
    cloze tnews-zero tnews "${rows[@]}" --model "$small" --zero_shot
    few tnews "${rows[@]}"
    all tnews "${seeds:-0 1 2 3 4}" "${rows[@]}" --num_train_epochs 5 --learning_rate 3e-4
}

chnsenticorp() {
    all chnsenticorp "${seeds:-0 1 2 3 4}" --train_data "$data/cls/chnsenticorp/train.tsv" \
        --evaluation_data "$data/cls/chnsenticorp/dev_clean.tsv" --max_length 64 --num_train_epochs 1 --learning_rate 3e-4
}

csl() {
    three csl titles_zh --train_data "$data"/seq2seq/csl_title/train.{source,target} \
        --evaluation_data "$data"/seq2seq/csl_title/val.{source,target} --max_length 160 --num_train_epochs 3 --learning_rate 5e-4
}

# GLM-Doc and GLM-Sent beside GLM, smaller still: the same text, size and steps; each as a language model and filling blanks
levels() {
    local tiny='{"hidden_size": 128, "num_layers": 2, "num_attention_heads": 2, "max_sequence_length": 256, "output_dropout_prob": 0.0}'
    for level in token doc sent; do
        local model=$output/pretrain_small_$level
        [ -f "$model/metrics.json" ] || $python scripts/pretrain.py "configs/pretrain_small_$level.yaml" --output_dir "$model" --config "$tiny" \
            --tokenizer "$small" --max_steps 400 --disable_tqdm True --train_data "$text/wikitext-2/wiki.train.tokens" "$text/novels/" \
            --evaluation_data "$text/wikitext-2/wiki.valid.tokens"
        [ -f "$output/tasks/lm-$level/metrics.json" ] || $python scripts/evaluate_lm.py --model "$model" --evaluation_data \
            "$text/wikitext-2/wiki.test.tokens" --output_dir "$output/tasks/lm-$level"
        [ -f "$output/tasks/infilling-$level/metrics.json" ] || $python scripts/finetune_seq2seq.py --task infilling --model "$model" \
            --source "{{ text }}" --evaluation_data "$data/lm_eval/lambada_test.jsonl" --evaluation_rows 100 --max_length 250 \
            --max_target_length 64 --metrics bleu --report_to none --output_dir "$output/tasks/infilling-$level"
    done
}

everything=(pretrain language_model wikitext sst2_few sst2 cb banking77 scitldr multi30k multi30k_small levels)
[ "$language" = zh ] && everything=(pretrain tnews chnsenticorp csl)
shift 2
[ $# -gt 0 ] && shift
parts=("$@")
[ ${#parts[@]} -eq 0 ] && parts=("${everything[@]}")
for part in "${parts[@]}"; do
    date +"%T $part"
    "$part"
done
