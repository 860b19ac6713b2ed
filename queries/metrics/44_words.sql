-- words_of(of_text): the words of a message, in their order and as often as they are said.
-- In lower case; of any script; 2 to 30 letters and digits, a letter first (q3, iphone6; no prices, no numbers, no 5pm); possessive 's
-- taken off, hashtags without their #. An emoji is a word, whatever its skin; a flag is one. What is no prose is left out: links, mail addresses,
-- @users with the rt or via before them, u/ and r/ names, $cashtags, HTML entities that were escaped twice, and the word that a
-- service has cut at the end of a text.
-- Example: SELECT words_of('RT @ann: Alibaba''s #IPO priced at $68 🚀 $BABA https://t.co/x');
CREATE OR REPLACE MACRO words_of(of_text) AS (
    list_filter(
        regexp_extract_all(
            regexp_replace(replace(lower(nfc_normalize(of_text)), '’', ''''),
                '&#?[a-z0-9]{1,8};'                                            -- &amp;
                || '|https?:?//\S*|\bhttps?\b|\bht{1,2}p?s?:?/*\s*$'           -- a link, and what is left of a cut one
                || '|www\.\S+|[\w.-]{1,253}\.(?:com|net|org)\b(?:/\S*)?|[\w.-]{1,253}\.(?:co|io|ly|gl|gg|me|be|it)/\S*'
                || '|(?:\b(?:rt|via)\s+)?[\w.+%-]{0,64}@\w[\w.-]*'             -- RT @ann:, via @bob, carl@mail.example
                || '|[$][a-z][\w.-]*|\b[ur]/\w[\w-]*'
                || '|\S{0,80}…\s*$'                                            -- the cut word at the end
                || '|''s\b|\brt\b|\bvia\b|\bamp\b', ' ', 'g'),
            '[\x{1F1E6}-\x{1F1FF}]{2}'                                         -- a flag
            || '|[\x{2600}-\x{27BF}\x{2B50}\x{1F300}-\x{1F3FA}\x{1F400}-\x{1FAFF}]'
            || '|[\p{L}\p{N}][\p{L}\p{M}\p{N}\x{200C}\x{200D}]*(?:''[\p{L}\p{M}]+)*'),
        lambda word: regexp_matches(word, '^(?:[^\p{L}\p{N}]|\p{L}.{1,29}$)')));

-- is_function_word(of_word): true of the English words that hold sentences together and never say what they are about: articles, pronouns, prepositions,
-- conjunctions, auxiliaries. The closed classes only: no noun, no verb of its own, no adjective is in it.
-- Example: SELECT is_function_word('about');
CREATE OR REPLACE MACRO is_function_word(of_word) AS (list_contains(string_split(
    'a an the this that these those there here it its he him his she her hers they them their theirs we us our ours you your yours me my mine i '
    || 'who whom whose which what when where why how and or nor but so if then than because while though although unless until since as '
    || 'of at by for with about against between into through during before after above below to from up down in out on off over under again '
    || 'am is are was were be been being have has had having do does did doing will would shall should can could may might must '
    || 'not no yes also just only very too more most much many some any each every both all few other such same own ever '
    || 'i''m i''ve i''ll i''d you''re you''ve you''ll he''s she''s it''s we''re we''ve we''ll they''re they''ve they''ll that''s there''s here''s what''s who''s let''s '
    || 'isn''t aren''t wasn''t weren''t don''t doesn''t didn''t won''t wouldn''t can''t couldn''t shouldn''t hasn''t haven''t hadn''t ain''t', ' '), of_word));

-- driver_log_odds(…), driver_sd(…): how much more a word is used than before, and how sure that is: log-odds ratio with an informative
-- Dirichlet prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words", equations 16 and 20).
-- of_uses of of_words uses of words are this one's, uses_before of words_before were before; prior: of_prior uses, of which of_share would be this
-- word's, and a half on either side (Haldane and Anscombe's), without which the variance of a word that nobody ever used is without bound.
CREATE OR REPLACE MACRO driver_log_odds(of_uses, of_words, uses_before, words_before, of_share, of_prior) AS (
    ln((of_uses + of_prior * of_share + 0.5) / (of_words - of_uses + of_prior * (1 - of_share) + 0.5))
    - ln((uses_before + of_prior * of_share + 0.5) / (words_before - uses_before + of_prior * (1 - of_share) + 0.5)));
CREATE OR REPLACE MACRO driver_sd(of_uses, uses_before, of_share, of_prior) AS (
    sqrt(1 / (of_uses + of_prior * of_share + 0.5) + 1 / (uses_before + of_prior * of_share + 0.5)));
