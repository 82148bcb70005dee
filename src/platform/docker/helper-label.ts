/** Marks containers and images that Holdfast makes for reading; the value says who made it (see helper.ts). */
export const helperLabel = 'holdfast.helper';
